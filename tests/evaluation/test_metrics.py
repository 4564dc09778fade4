import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.evaluation.metrics import (
    bin_by_mass,
    decision_metrics,
    measure_calibration_error,
    measure_log_loss,
    probability_metrics,
)


def test_probability_metrics_agree_with_sklearn():
    rng = np.random.default_rng(0)
    probability = rng.random(500).round(2)
    breach = rng.random(500) < probability**2
    metrics = probability_metrics(breach, probability)

    assert metrics["roc_auc"] == pytest.approx(roc_auc_score(breach, probability))
    assert metrics["pr_auc"] == pytest.approx(average_precision_score(breach, probability))
    assert metrics["brier"] == pytest.approx(brier_score_loss(breach, probability))
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    assert metrics["log_loss"] == pytest.approx(log_loss(breach, clipped))


def test_probability_metrics_by_hand():
    breach = np.array([True, False, True, False])
    metrics = probability_metrics(breach, np.array([0.9, 0.8, 0.6, 0.1]))

    assert metrics["roc_auc"] == pytest.approx(3 / 4)
    assert metrics["pr_auc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert metrics["brier"] == pytest.approx((0.01 + 0.64 + 0.16 + 0.01) / 4)
    assert metrics["log_loss"] == pytest.approx(-np.log(0.9 * 0.2 * 0.6 * 0.9) / 4)
    assert metrics["calibration_error"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.1) / 4)


@pytest.mark.parametrize(
    ("breach", "undefined"),
    [([False, False], {"roc_auc", "pr_auc"}), ([True, True], {"roc_auc"})],
)
def test_metrics_undefined_on_one_outcome_are_left_out(breach, undefined):
    metrics = probability_metrics(np.array(breach), np.array([0.25, 0.5]))
    every = {"roc_auc", "pr_auc", "brier", "log_loss", "calibration_error"}

    assert set(metrics) == every - undefined
    assert all(np.isfinite(value) for value in metrics.values())


def test_no_tickets_have_no_metrics():
    assert probability_metrics(np.array([], dtype=bool), np.array([])) == {}


def test_certain_mistakes_cost_a_finite_log_loss():
    breach, probability = np.array([True, False, True]), np.array([0.0, 1.0, 1.0])

    # -ln(1e-15) for each of the two; 1 - 1e-15 is rounded, hence the tolerance.
    expected = 2 * 15 * np.log(10) / 3
    assert measure_log_loss(breach, probability) == pytest.approx(expected, rel=1e-3)


def test_calibration_error_by_hand():
    # Ten bins of two: in the first five one of two breaches at 0.2 (off by 0.3), in the others
    # none breaches at 0.9 (off by 0.9).
    probability = np.concatenate([np.linspace(0.15, 0.25, 10), np.linspace(0.85, 0.95, 10)])
    breach = np.concatenate([np.tile([True, False], 5), np.zeros(10, dtype=bool)])
    expected = (10 * 0.3 + 10 * 0.9) / 20

    assert measure_calibration_error(breach, probability) == pytest.approx(expected)


def test_calibration_error_weighs_bins_by_tickets():
    # 90 tickets tie at 0.1 and share a bin, off by 0.1; the other ten are right.
    probability = np.repeat([0.1, 1.0], [90, 10])
    breach = np.repeat([False, True], [90, 10])

    assert measure_calibration_error(breach, probability) == pytest.approx(0.09)


def test_calibration_error_does_not_cancel_between_bins():
    probability = np.repeat([0.2, 0.8], 50)
    breach = np.repeat([True, False], 50)

    assert measure_calibration_error(breach, probability) == pytest.approx(0.8)


def test_calibrated_probabilities_have_little_calibration_error():
    rng = np.random.default_rng(0)
    probability = rng.random(100_000)

    assert measure_calibration_error(rng.random(100_000) < probability, probability) < 0.01


def test_bins_have_equal_mass_without_ties():
    probability = np.random.default_rng(0).permutation(np.linspace(0, 1, 1000) ** 4)
    bins = bin_by_mass(probability)

    assert np.bincount(bins).tolist() == [100] * 10
    assert (np.diff(bins[np.argsort(probability)]) >= 0).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_ties_share_a_bin(values):
    bins = bin_by_mass(np.array(values) / 5)

    assert bins.min() >= 0
    assert bins.max() <= 9
    assert len(set(zip(values, bins.tolist(), strict=True))) == len(set(values))


def test_decision_metrics_by_hand():
    costs = cost_matrix([500.0, 200.0, 50.0, 10.0, 10.0, 10.0], 20, charged=1, effectiveness=0.5)
    breach = np.array([True, False, True, False, False, False])
    escalate = np.array([True, True, False, False, True, False])
    metrics = decision_metrics(breach, escalate, costs)

    # 20 + 250, two false alarms of 20, a missed breach of 50. Never loses 550, always
    # 270 + 45 + 4 * 20 = 395.
    assert metrics == pytest.approx(
        {
            "expected_loss": 360,
            "expected_loss_per_ticket": 360 / 6,
            "savings": 1 - 360 / 395,
            "escalation_rate": 0.5,
            "missed_breaches": 1,
            "false_alarms": 2,
        }
    )


def test_savings_compare_with_never_where_that_is_better():
    costs = cost_matrix([10.0, 10.0], 20, charged=1, effectiveness=1)
    breach = np.array([True, False])

    assert decision_metrics(breach, ~breach, costs)["savings"] == 1 - 30 / 10


def test_savings_are_left_out_when_nothing_can_be_lost():
    costs = cost_matrix([10.0, 10.0], 20, charged=1, effectiveness=1)
    never = np.array([False, False])
    metrics = decision_metrics(never, never, costs)

    assert "savings" not in metrics
    assert metrics["expected_loss"] == 0


@given(st.data())
def test_savings_lie_between_the_trivial_policies_and_the_oracle(data):
    n = data.draw(st.integers(1, 20))
    draw = [data.draw(st.lists(st.integers(1, 99), min_size=n, max_size=n)) for _ in range(2)]
    breach = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    costs = cost_matrix(np.array(draw[0], float), np.array(draw[1], float), 1, 0.8)

    def savings(escalate):
        return decision_metrics(breach, escalate, costs).get("savings", 0.0)

    never, always = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    oracle = breach & (costs.tp < costs.fn)
    assert max(savings(never), savings(always)) == pytest.approx(0)
    assert savings(oracle) >= max(
        savings(always), savings(never), savings(breach), savings(~breach)
    )
    assert savings(oracle) <= 1


def test_metrics_are_plain_floats():
    breach, probability = np.array([True, False]), np.array([0.7, 0.2])
    costs = CostMatrix(*(np.ones(2) for _ in range(4)))
    metrics = probability_metrics(breach, probability) | decision_metrics(breach, breach, costs)

    assert {type(value) for value in metrics.values()} == {float}
