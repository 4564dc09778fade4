"""SR018: stable over folds."""

from dataclasses import replace

import numpy as np


def test_folds_that_differ_by_chance_are_fine(clean, examine):
    found = examine("SR018", clean)
    assert found.verdict.value == "ok"
    folds = np.unique(clean.learned.fold[clean.learned.eligible])
    assert found.detail.split(":")[0].count("0.") == len(folds) == 4


def test_a_fold_in_which_the_model_knows_nothing_is_a_doubt(clean, examine):
    score = clean.learned.score.copy()
    last = clean.learned.fold == clean.learned.fold.max()
    score[last] = np.random.default_rng(0).random(last.sum())
    found = examine("SR018", replace(clean, learned=replace(clean.learned, score=score)))
    assert found.verdict.value == "warning"


def test_many_tickets_do_not_make_a_small_difference_large(clean, examine):
    """Significant, but of no account: ROC AUC 0.84 and 0.85 on very many tickets."""
    rng = np.random.default_rng(0)
    fold = np.repeat([0, 1], 60_000)
    breach = rng.random(len(fold)) < 0.3
    score = rng.normal(size=len(fold)) + breach * np.where(fold == 0, 1.41, 1.47)
    learned = replace(
        clean.learned, score=score, fold=fold, eligible=np.ones(len(fold), dtype=bool)
    )
    import pandas as pd

    training = pd.DataFrame({"breach": breach})
    found = examine("SR018", replace(clean, learned=learned, training=training))
    assert "p = 0.8" not in found.detail
    assert float(found.detail.split("p = ")[1].split(")")[0]) < 0.01
    assert found.verdict.value == "ok"
