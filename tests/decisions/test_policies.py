import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import Decision, DecisionKind
from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.decisions.policies import Capacity, PerTicket, SingleThreshold, make_policy
from slarisk.errors import InputError

TICKET = st.tuples(
    st.integers(0, 10).map(lambda tenths: tenths / 10),
    st.sampled_from([500.0, 200.0, 50.0, 10.0, 0.0]),
    st.integers(0, 3),
)


@st.composite
def scored_tickets(draw):
    rows = draw(st.lists(TICKET, max_size=30))
    probability, dollars, day = (
        (np.array(column) for column in zip(*rows, strict=True))
        if rows
        else (np.array([]), np.array([]), np.array([]))
    )
    charged = draw(st.sampled_from([0, 0.5, 1]))
    effectiveness = draw(st.sampled_from([0.0, 0.8, 1]))
    return probability, cost_matrix(dollars, 20, charged, effectiveness), day.astype(np.int64)


def test_per_ticket_escalates_strictly_above_the_threshold():
    costs = cost_matrix([40.0, 40.0, 40.0, 0.0], 20, charged=1, effectiveness=1)
    chosen = PerTicket().decide(np.array([0.49, 0.5, 0.51, 1.0]), costs)

    assert chosen.dtype == bool
    assert chosen.tolist() == [False, False, True, False]


def test_per_ticket_weighs_each_tickets_own_cost():
    costs = cost_matrix([500.0, 200.0, 50.0, 10.0], 20, charged=1, effectiveness=0.8)

    assert PerTicket().decide(np.full(4, 0.13), costs).tolist() == [True, True, False, False]


@given(scored_tickets())
def test_no_decision_loses_less_in_expectation_than_per_ticket(tickets):
    probability, costs, _ = tickets
    left, escalated = costs.expected(probability)
    chosen = PerTicket().decide(probability, costs)

    assert np.where(chosen, escalated, left) == pytest.approx(np.minimum(left, escalated))


def test_single_threshold_includes_the_threshold():
    costs = cost_matrix([0.0, 500.0, 0.0], 20, charged=1, effectiveness=1)
    probability = np.array([0.29, 0.3, 0.31])

    assert SingleThreshold(0.3).decide(probability, costs).tolist() == [False, True, True]
    assert not SingleThreshold(np.inf).decide(probability, costs).any()


def test_capacity_takes_the_largest_savings_of_each_day():
    costs = cost_matrix([10.0, 500.0, 50.0, 200.0, 500.0], 20, charged=1, effectiveness=1)
    probability = np.array([0.9, 0.1, 0.9, 0.5, 0.2])  # saves nothing, 30, 25, 80, 80
    day = np.array([3, 7, 7, 3, 7])

    def chosen(per_day, day=None):
        return np.flatnonzero(Capacity(per_day).decide(probability, costs, day)).tolist()

    assert chosen(1, day) == [3, 4]
    assert chosen(2, day) == [1, 3, 4]
    assert chosen(1) == [3]  # without days one day, and of equal savings the first
    assert chosen(3) == [1, 3, 4]
    assert chosen(0, day) == []


def test_capacity_counts_what_the_escalation_costs():
    costs = cost_matrix([500.0, 300.0], np.array([200.0, 20.0]), charged=1, effectiveness=1)

    # Leaving loses 450 and 270, but escalating saves only 250 of one and 250 + 0.3 of the other.
    chosen = Capacity(1).decide(np.array([0.9, 0.901]), costs)
    assert chosen.tolist() == [False, True]


def test_capacity_breaks_ties_by_position():
    costs = cost_matrix(np.full(40, 100.0), 20, charged=1, effectiveness=1)
    chosen = Capacity(5).decide(np.full(40, 0.5), costs, np.tile([2, 1], 20))

    assert np.flatnonzero(chosen).tolist() == list(range(10))


def test_capacity_counts_what_a_met_ticket_costs_when_left():
    costs = CostMatrix(*(np.array(cost) for cost in ([9.0, 0], [1.0, 1], [50.0, 50], [1.0, 1])))
    probability = np.array([0.1, 0.2])  # saves 13.1 - 1 and 10 - 1

    assert Capacity(1).decide(probability, costs).tolist() == [True, False]


@given(scored_tickets(), st.integers(0, 5))
def test_capacity_is_the_best_choice_within_its_limit(tickets, per_day):
    probability, costs, day = tickets
    chosen = Capacity(per_day).decide(probability, costs, day)
    left, escalated = costs.expected(probability)
    saving = left - escalated
    worthwhile = PerTicket().decide(probability, costs)

    assert not (chosen & ~worthwhile).any()
    for today in set(day.tolist()):
        here = (day == today) & worthwhile
        assert chosen[here].sum() == min(per_day, here.sum())
        best = sorted(saving[here], reverse=True)[:per_day]
        assert sorted(saving[here & chosen], reverse=True) == best


@given(scored_tickets())
def test_ample_capacity_is_the_per_ticket_rule(tickets):
    probability, costs, day = tickets
    per_ticket = PerTicket().decide(probability, costs)

    assert Capacity(30).decide(probability, costs, day).tolist() == per_ticket.tolist()
    assert Capacity(30).decide(probability, costs).tolist() == per_ticket.tolist()


def test_a_factor_decides_as_other_costs_would():
    rng = np.random.default_rng(0)
    breach_cost, probability = rng.uniform(10, 500, 200), rng.random(200)
    paid = cost_matrix(breach_cost, 20.0, charged=1, effectiveness=0.8)
    decision = Decision(DecisionKind.per_ticket, break_even_factor=2.0)
    decided = make_policy(decision, 0.5).decide(probability, paid)
    for dear in (
        cost_matrix(breach_cost, 40.0, charged=1, effectiveness=0.8),
        cost_matrix(breach_cost, 20.0, charged=1, effectiveness=0.4),
        cost_matrix(breach_cost / 2, 20.0, charged=1, effectiveness=0.8),
    ):
        assert (decided == PerTicket().decide(probability, dear)).all()
    assert (decided != PerTicket().decide(probability, paid)).any()


def test_only_the_per_ticket_rule_has_a_factor():
    with pytest.raises(InputError, match="only decision=per_ticket"):
        make_policy(Decision(DecisionKind.threshold, break_even_factor=2.0), 0.5)
