import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.decisions.costs import CostMatrix, cost_matrix

BREACH_COSTS = np.array([500.0, 200.0, 50.0, 10.0, 0.0])


def test_charged_costs_by_hand():
    costs = cost_matrix(BREACH_COSTS, 20, charged=1, effectiveness=0.8)

    assert costs.tn.tolist() == [0, 0, 0, 0, 0]
    assert costs.fp.tolist() == [20, 20, 20, 20, 20]
    assert costs.fn.tolist() == [500, 200, 50, 10, 0]
    # 20 paid in full, plus the fifth of the breach cost that is not averted.
    assert costs.tp == pytest.approx([120, 60, 30, 22, 20])


def test_notebook_costs_by_hand():
    costs = cost_matrix(BREACH_COSTS, 2, charged=0, effectiveness=1)

    assert costs.fp.tolist() == [2, 2, 2, 2, 2]
    assert costs.fn.tolist() == [500, 200, 50, 10, 0]
    assert costs.tp.tolist() == [0, 0, 0, 0, 0]


def test_partly_charged_costs_by_hand():
    costs = cost_matrix([100.0], 10, charged=0.5, effectiveness=0.75)

    assert costs.tp.tolist() == [30]  # 10 * 0.5 + 0.25 * 100


def test_each_ticket_has_its_own_escalation_cost():
    costs = cost_matrix([100.0, 100.0], np.array([10.0, 40.0]), charged=1, effectiveness=1)

    assert costs.fp.tolist() == [10, 40]
    assert costs.tp.tolist() == [10, 40]


def test_costs_of_another_length_are_refused():
    with pytest.raises(ValueError, match="broadcast"):
        cost_matrix([100.0, 100.0], np.array([1.0, 2.0, 3.0]), charged=1, effectiveness=1)


def test_costs_do_not_share_memory_with_their_source():
    source = np.array([100.0])
    costs = cost_matrix(source, 1, charged=1, effectiveness=1)
    source[0] = 7

    assert costs.fn.tolist() == [100]


def test_charged_thresholds_by_hand():
    thresholds = cost_matrix(BREACH_COSTS, 20, charged=1, effectiveness=0.8).thresholds()

    # 20 / (0.8 B); a Low ticket costs more to escalate than to lose, a free one never pays.
    assert thresholds == pytest.approx([0.05, 0.125, 0.5, 2.5, np.inf])


def test_notebook_thresholds_by_hand():
    thresholds = cost_matrix(BREACH_COSTS, 2, charged=0, effectiveness=1).thresholds()

    assert thresholds == pytest.approx([2 / 502, 2 / 202, 2 / 52, 2 / 12, 1])


def test_threshold_counts_what_a_met_ticket_costs_when_left():
    costs = CostMatrix(*(np.array([cost]) for cost in (1.0, 5.0, 10.0, 2.0)))

    assert costs.thresholds() == pytest.approx([4 / 12])  # (5 - 1) / (5 - 1 + 10 - 2)


@pytest.mark.parametrize(("fn", "tp"), [(2.0, 6.0), (2.0, 7.0), (np.nan, 1.0)])
def test_ticket_without_positive_denominator_has_no_threshold(fn, tp):
    costs = CostMatrix(*(np.array([cost]) for cost in (1.0, 5.0, fn, tp)))

    assert costs.thresholds().tolist() == [np.inf]


def test_losses_of_the_four_outcomes():
    costs = CostMatrix(*(np.full(4, cost) for cost in (1.0, 2.0, 3.0, 4.0)))
    breach = np.array([False, False, True, True])
    escalate = np.array([False, True, False, True])

    assert costs.losses(breach, escalate).tolist() == [1, 2, 3, 4]


def test_expected_losses_by_hand():
    costs = cost_matrix([500.0, 500.0], 20, charged=0, effectiveness=0.8)
    left, escalated = costs.expected(np.array([0.25, 1.0]))

    assert left == pytest.approx([125, 500])
    assert escalated == pytest.approx([0.75 * 20 + 0.25 * 100, 100])


def test_take_keeps_all_four_costs_in_step():
    costs = CostMatrix(*(np.arange(3.0) + 10 * k for k in range(4)))
    by_position, by_mask = costs.take(np.array([2, 0])), costs.take(np.array([True, False, True]))

    assert len(costs) == 3
    assert len(by_position) == 2
    kept = [by_position.tn, by_position.fp, by_position.fn, by_position.tp]
    assert np.array(kept).tolist() == [[2, 0], [12, 10], [22, 20], [32, 30]]
    assert by_mask.fn.tolist() == [20, 22]


@given(
    st.floats(0, 1000), st.floats(0, 100), st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.999)
)
def test_escalating_pays_exactly_above_the_threshold(
    breach_cost, escalation_cost, charged, effectiveness, probability
):
    costs = cost_matrix([breach_cost], escalation_cost, charged, effectiveness)
    left, escalated = costs.expected(np.array([probability]))
    threshold = costs.thresholds()[0]

    rounding = 1e-9 * (1 + breach_cost + escalation_cost)
    if probability > threshold:
        assert escalated[0] <= left[0] + rounding
    else:
        assert escalated[0] >= left[0] - rounding
