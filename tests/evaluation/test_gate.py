import numpy as np
import pytest

from slarisk.evaluation.bootstrap import paired_interval
from slarisk.evaluation.gate import (
    EVIDENCE,
    Comparison,
    compare_losses,
    measure_quality,
    refuse_challenge,
    refuse_other_losses,
    refuse_record,
    refuse_run,
    refuse_value,
)

METRICS = dict.fromkeys(EVIDENCE, 1.0)


def value(value, low, high):
    return {
        "value_over_baseline": value,
        "value_over_baseline_low": low,
        "value_over_baseline_high": high,
    }


def test_only_a_finished_training_run_can_be_judged():
    assert refuse_record("FINISHED", METRICS) == []
    for status in ("FAILED", "KILLED", "RUNNING"):
        (reason,) = refuse_record(status, METRICS)
        assert f"{status}, not FINISHED" in reason
    (reason,) = refuse_record("FINISHED", {"accuracy": 1.0})
    assert "no metric expected_loss" in reason


def test_an_optimistic_run_or_a_failed_check_is_refused():
    assert refuse_run({"optimistic": "false", "failed_checks": "none"}) == []
    (reason,) = refuse_run({"optimistic": "true", "failed_checks": "SR002"})
    assert "optimistic" in reason
    (reason,) = refuse_run({"optimistic": "false", "failed_checks": "SR009"})
    assert "SR009" in reason


@pytest.mark.parametrize("clearly", [True, False])
def test_a_run_that_adds_nothing_is_refused_always(clearly):
    for amount in (0, -20):
        (reason,) = refuse_value(value(amount, -90, 40), "priority", clearly)
        assert "'priority'" in reason
    assert "-$20 [-$90 to $40]" in reason


def test_an_interval_that_holds_zero_is_refused_unless_accepted():
    (reason,) = refuse_value(value(20, 0, 40), "always", clearly=True)
    assert "not clearly" in reason
    assert refuse_value(value(20, 0, 40), "always", clearly=False) == []
    assert refuse_value(value(20, 1, 40), "always", clearly=True) == []


def test_losses_are_compared_pair_by_pair():
    rng = np.random.default_rng(0)
    champion = rng.choice([0.0, 20, 500], 400)  # tickets differ a lot, the two decisions hardly
    candidate = champion - 1
    found = compare_losses(candidate, champion, 200, 0.95, 42)

    assert (found.tickets, found.difference, found.low, found.high) == (400, -1, -1, -1)
    assert found.rival_loss - found.candidate_loss == 400


def test_the_interval_of_a_comparison_is_per_ticket_and_repeatable():
    rng = np.random.default_rng(1)
    candidate, champion = rng.choice([0.0, 10], (2, 900))
    found = compare_losses(candidate, champion, 2000, 0.95, 42)
    error = (candidate - champion).std() / np.sqrt(900)

    assert found.difference == pytest.approx((candidate - champion).mean())
    assert found.low == pytest.approx(found.difference - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(found.difference + 1.96 * error, abs=0.2 * error)
    assert compare_losses(candidate, champion, 2000, 0.95, 42) == found
    wider = compare_losses(candidate, champion, 2000, 0.99, 42)
    assert wider.low < found.low < found.high < wider.high


@pytest.mark.parametrize(
    ("low", "high", "margin", "passes"),
    [
        (-3, -1, 0, True),
        (-3, 0, 0, False),  # the interval must lie below the margin, not touch it
        (-3, 1, 0, False),
        (1, 3, 0, False),
        (-3, -1, 1, False),
        (-3, -1.1, 1, True),
        (-1, 0.5, -1, True),  # a negative margin accepts a little worse
    ],
)
def test_the_challenger_must_be_better_by_the_margin(low, high, margin, passes):
    comparison = Comparison(100, 0, 0, (low + high) / 2, low, high)
    assert (refuse_challenge(comparison, margin) == []) is passes


def test_the_refusal_tells_losing_from_not_knowing():
    (reason,) = refuse_challenge(Comparison(1500, 0, 0, 0.25, -0.5, 1), 0)
    assert "loses more than the champion on 1,500 tickets" in reason
    assert "+0.25 dollars per ticket [-0.50 to +1.00]" in reason
    (reason,) = refuse_challenge(Comparison(1500, 0, 0, -0.25, -0.5, 1), 0.1)
    assert "is not clearly better than" in reason
    assert "margin 0.10" in reason


def test_the_interval_against_a_rule_is_the_one_that_the_run_logged():
    """Same pairs, same draws: the card shows the figures of the run."""
    rng = np.random.default_rng(2)
    losses, rule = rng.choice([0.0, 20, 500], (2, 300))
    low, high = paired_interval(rule - losses, 500, 0.9, np.random.default_rng(7))
    found = compare_losses(losses, rule, 500, 0.9, 7)

    assert (-found.high * 300, -found.low * 300) == pytest.approx((low, high), rel=1e-12)


def test_quality_is_measured_by_hand():
    """Ranks: of 2 x 2 pairs 3 are in order; precision is 1/1 at the first, 2/3 at the second."""
    breach = np.array([True, False, True, False])
    probability = np.array([0.9, 0.6, 0.5, 0.1])
    found = measure_quality(breach, probability, np.array([True, True, True, False]))

    assert found["roc_auc"] == 3 / 4
    assert found["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.5 + 0.1) / 4)
    assert found["escalation_rate"] == 3 / 4
    none_breached = measure_quality(np.zeros(4, dtype=bool), probability, breach)
    assert set(none_breached) == {"calibration_error", "escalation_rate"}


def test_a_loss_that_does_not_come_out_again_is_told():
    logged = {"stored model": 1000.0, "rule 'never'": 2000.0}
    assert refuse_other_losses({"stored model": 1000 * (1 + 1e-12)}, logged) == []
    reasons = refuse_other_losses({"stored model": 1020.0, "rule 'never'": 1900.0}, logged)
    assert reasons == [
        "the stored model loses $1,020 on the test tickets, not the $1,000 that its run logged",
        "the rule 'never' loses $1,900 on the test tickets, not the $2,000 that its run logged",
    ]
