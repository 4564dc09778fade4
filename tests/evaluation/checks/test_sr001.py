"""SR001: worth more than a trivial rule."""

from dataclasses import replace

import pytest

GOOD = {
    "value_over_baseline": 100.0,
    "value_over_baseline_low": 1.0,
    "value_over_baseline_high": 200.0,
}


@pytest.fixture
def judge(clean, examine):
    def judge_value(**metrics):
        return examine("SR001", replace(clean, metrics=GOOD | metrics, best_baseline="priority"))

    return judge_value


def test_a_value_that_is_surely_positive_is_fine(judge):
    found = judge()
    assert (found.verdict.value, found.detail) == (
        "ok",
        "Saves $100 [$1 to $200] against 'priority'.",
    )


def test_luck_is_told_from_loss(judge):
    luck = judge(value_over_baseline_low=-5.0)
    assert luck.verdict.value == "warning"
    assert "Saves $100 [-$5 to $200] against 'priority'" in luck.detail
    assert "luck" in luck.detail
    loss = judge(value_over_baseline=-50.0, value_over_baseline_low=-80.0)
    assert loss.verdict.value == "warning"
    assert "Adds nothing: -$50" in loss.detail
    assert "Use the rule 'priority'" in loss.detail
