"""SR017: as good on the test as out of fold."""

from dataclasses import replace

import numpy as np


def test_scores_that_the_test_confirms_are_fine(clean, examine):
    assert examine("SR017", clean).verdict.value == "ok"


def test_a_promise_that_the_test_breaks_is_a_doubt(clean, examine):
    """Out of fold, the model knew the label."""
    score = np.clip(clean.learned.score + 0.3 * clean.breach, 0, 1)
    found = examine("SR017", replace(clean, learned=replace(clean.learned, score=score)))
    assert found.verdict.value == "warning"


def test_few_test_tickets_break_no_promise(clean, with_probability, examine):
    """Twenty tickets that go badly are bad luck."""
    breached = np.flatnonzero(clean.test_breach)[:6]
    met = np.flatnonzero(~clean.test_breach)[:14]
    few = np.sort(np.concatenate([breached, met]))
    probability = np.full(len(few), 0.5)
    probability[::3] = 0.4
    test = clean.test.iloc[few]
    context = with_probability(replace(clean, test=test), probability)
    assert examine("SR017", context).verdict.value == "ok"
