"""SR015: the model learns from its training tickets. Plants: test_leakage.py."""

from dataclasses import replace

import pytest


@pytest.mark.parametrize("model", ["lr", "gbm", "rf"])
def test_models_that_learn_are_fine(gather, sample, examine, model):
    small = {"rf": ["model.n_estimators=20"]}.get(model, [])
    assert examine("SR015", gather(sample, *small, model=model)).verdict.value == "ok"


def test_a_model_that_learns_says_the_opposite_of_turned_labels(gather, sample, examine):
    detail = examine("SR015", gather(sample, "split=random", "model.C=0.01")).detail
    inside, turned = (float(word.rstrip(",.")) for word in detail.split() if word.startswith("0."))
    assert inside > 0.7
    assert turned < 0.4


def test_a_model_that_says_the_same_of_everybody_accuses_nobody(gather, sample, examine):
    dummy = ["model._target_=sklearn.dummy.DummyClassifier", "~model.C", "~model.max_iter"]
    context = gather(sample, *dummy)
    assert examine("SR015", context).verdict.value == "ok"


def test_a_model_that_needs_more_tickets_than_the_probe_accuses_nobody(gather, sample, examine):
    neighbours = [
        "model._target_=sklearn.neighbors.KNeighborsClassifier",
        "+model.n_neighbors=450",
        "~model.C",
        "~model.max_iter",
        "split.folds=2",
    ]
    context = gather(sample, *neighbours)
    score = context.learned.score.copy()
    score[context.sampled] = context.in_sample  # as good out of fold
    found = examine("SR015", replace(context, learned=replace(context.learned, score=score)))
    assert found.verdict.value == "ok"
    assert "n_neighbors" in found.detail
