from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import Decision, DecisionKind, Moment
from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.decisions.facts import Standing, TicketFacts, rank_tickets
from slarisk.decisions.policies import (
    POLICIES,
    Capacity,
    NowOrLater,
    PerTicket,
    SingleThreshold,
    list_parameters,
    make_policy,
    validate_decision,
)
from slarisk.decisions.shortlist import Candidates, Shortlist
from slarisk.decisions.stopping import Stopping
from slarisk.errors import InputError

# few values of each, so that most tickets tie with another
TICKET = st.tuples(
    st.integers(0, 10).map(lambda tenths: tenths / 10),
    st.sampled_from([500.0, 200.0, 50.0, 10.0, 0.0]),
    st.sampled_from(
        [*(f"2024-03-0{day}T{hour}" for day in (1, 2) for hour in ("08", "17")), "NaT"]
    ),
)


def facts(created, ids=None):
    ids = [f"{n}" for n in range(len(created))] if ids is None else ids
    return TicketFacts(np.array(created, "datetime64[us]"), np.array(ids, dtype=object))


def on_days(days):
    """Tickets created at noon of numbered days, the ids in the order of the tickets."""
    noon = np.datetime64("2024-03-01T12", "us") + np.array(days) * np.timedelta64(1, "D")
    return facts(noon, [f"{n:03}" for n in range(len(days))])


@st.composite
def scored_tickets(draw):
    rows = draw(st.lists(TICKET, max_size=30))
    probability, dollars, created = zip(*rows, strict=True) if rows else ((), (), ())
    charged = draw(st.sampled_from([0, 0.5, 1]))
    effectiveness = draw(st.sampled_from([0.0, 0.8, 1]))
    costs = cost_matrix(dollars, 20, charged, effectiveness)
    return np.array(probability, float), costs, facts(created)


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

    def chosen(per_day, tickets):
        return np.flatnonzero(Capacity(per_day).decide(probability, costs, tickets)).tolist()

    days = on_days([3, 7, 7, 3, 7])
    assert chosen(1, days) == [3, 4]
    assert chosen(2, days) == [1, 3, 4]
    assert chosen(0, days) == []
    undated = facts(["NaT"] * 5, [*"edcba"])  # one day of their own, and of equal savings the id
    assert chosen(1, undated) == [4]
    assert chosen(3, undated) == [1, 3, 4]


def test_capacity_counts_what_the_escalation_costs():
    costs = cost_matrix([500.0, 300.0], np.array([200.0, 20.0]), charged=1, effectiveness=1)

    # Leaving loses 450 and 270, but escalating saves only 250 of one and 250 + 0.3 of the other.
    chosen = Capacity(1).decide(np.array([0.9, 0.901]), costs, on_days([0, 0]))
    assert chosen.tolist() == [False, True]


def test_ties_go_by_creation_time_then_by_id_as_text():
    created = ["2024-03-01T09", "2024-03-01T08", "NaT", "2024-03-01T09", "2024-03-01T09", "NaT"]
    tickets = facts(created, ["b", "z", "d", "10", "9", "c"])
    assert rank_tickets(np.full(6, 30.0), tickets).tolist() == [1, 3, 4, 0, 5, 2]
    assert rank_tickets(np.array([1.0, 1, 2, 1, 1, 3]), tickets).tolist() == [5, 2, 1, 3, 4, 0]

    costs = cost_matrix(np.full(6, 100.0), 20, charged=1, effectiveness=1)
    chosen = Capacity(1).decide(np.full(6, 0.5), costs, tickets)
    assert tickets.ticket_id[chosen].tolist() == ["z", "c"]
    chosen = Capacity(3).decide(np.full(6, 0.5), costs, tickets)
    assert sorted(tickets.ticket_id[chosen]) == ["10", "9", "c", "d", "z"]


@given(scored_tickets(), st.integers(0, 4), st.randoms(use_true_random=False))
def test_no_policy_heeds_the_order_of_tickets(tickets, per_day, random):
    probability, costs, known = tickets
    order = np.array(random.sample(range(len(costs)), len(costs)), dtype=int)
    size = len(costs)
    known = replace(
        known,
        standing=Standing(
            np.linspace(0, 30, size), np.full(size, 24.0), np.array(["High", "Low"] * size)[:size]
        ),
    )
    later = Stopping([0.0, 0.5], [0.0], ["High"], [[3.0, None], [1.0, 0.5]], [])
    for name in POLICIES:
        policy = make_policy(Decision(name, per_day=per_day), 0.3, later)
        straight = policy.decide(probability, costs, known)
        shuffled = policy.decide(probability[order], costs.take(order), known.take(order))
        assert shuffled.tolist() == straight[order].tolist()


@given(scored_tickets(), st.integers(0, 4), st.integers(1, 7))
def test_a_joint_policy_decides_part_by_part_as_at_once(tickets, per_day, size):
    probability, costs, known = tickets
    place = np.arange(len(costs))
    whole = Candidates(probability, costs, known, place)
    joint = [policy for policy in POLICIES.values() if policy.joint]
    assert joint == [Capacity]
    for policy in (make_policy(Decision(each.kind, per_day=per_day), 0.3) for each in joint):
        shortlist = Shortlist(policy)
        for start in range(0, len(costs), size):
            part = whole.take(place[start : start + size])
            chosen = policy.decide(part.probability, part.costs, part.tickets)
            shortlist.add(part.take(chosen))
        at_once = policy.decide(probability, costs, known)
        assert shortlist.escalate(0, len(costs)).tolist() == at_once.tolist()
        if len(costs) >= 5:
            assert shortlist.escalate(2, 3).tolist() == at_once[2:5].tolist()


def test_capacity_counts_what_a_met_ticket_costs_when_left():
    costs = CostMatrix(*(np.array(cost) for cost in ([9.0, 0], [1.0, 1], [50.0, 50], [1.0, 1])))
    probability = np.array([0.1, 0.2])  # saves 13.1 - 1 and 10 - 1

    assert Capacity(1).decide(probability, costs, on_days([0, 0])).tolist() == [True, False]


@given(scored_tickets(), st.integers(0, 5))
def test_capacity_is_the_best_choice_within_its_limit(tickets, per_day):
    probability, costs, known = tickets
    chosen = Capacity(per_day).decide(probability, costs, known)
    left, escalated = costs.expected(probability)
    saving = left - escalated
    worthwhile = PerTicket().decide(probability, costs)

    assert not (chosen & ~worthwhile).any()
    for today in set(known.day.tolist()):
        here = (known.day == today) & worthwhile
        assert chosen[here].sum() == min(per_day, here.sum())
        best = sorted(saving[here], reverse=True)[:per_day]
        assert sorted(saving[here & chosen], reverse=True) == best


@given(scored_tickets())
def test_ample_capacity_is_the_per_ticket_rule(tickets):
    probability, costs, known = tickets
    per_ticket = PerTicket().decide(probability, costs)

    assert Capacity(30).decide(probability, costs, known).tolist() == per_ticket.tolist()


def test_a_factor_decides_as_other_costs_would():
    rng = np.random.default_rng(0)
    breach_cost, probability = rng.uniform(10, 500, 200), rng.random(200)
    paid = cost_matrix(breach_cost, 20.0, charged=1, effectiveness=0.8)
    decision = Decision(DecisionKind.per_ticket, break_even_factor=2.0)
    tickets = on_days(np.zeros(200, dtype=int))
    decided = make_policy(decision, 0.5).decide(probability, paid, tickets)
    for dear in (
        cost_matrix(breach_cost, 40.0, charged=1, effectiveness=0.8),
        cost_matrix(breach_cost, 20.0, charged=1, effectiveness=0.4),
        cost_matrix(breach_cost / 2, 20.0, charged=1, effectiveness=0.8),
    ):
        assert (decided == PerTicket().decide(probability, dear)).all()
    assert (decided != PerTicket().decide(probability, paid)).any()


@pytest.mark.parametrize(
    ("decision", "named"),
    [
        (Decision(DecisionKind.threshold, break_even_factor=2.0), "break_even_factor=2.0: .*per_t"),
        (Decision(DecisionKind.per_ticket, per_day=5), "per_day=5: .*capacity"),
        (Decision(DecisionKind.capacity), "per_day=null"),
    ],
)
def test_a_key_that_is_missing_wrong_or_not_read_is_named(decision, named):
    with pytest.raises(InputError, match=rf"^decision\.{named}"):
        validate_decision(decision)


def test_every_policy_can_be_made_from_its_own_keys():
    at_creation = [PerTicket.kind, SingleThreshold.kind, Capacity.kind]
    assert [*POLICIES] == [*at_creation, NowOrLater.kind, DecisionKind.grid]
    assert {*POLICIES} == {*DecisionKind}
    for kind in DecisionKind:
        decision = Decision(kind, per_day=4 if kind is DecisionKind.capacity else None)
        validate_decision(decision, Moment.open if POLICIES[kind].in_time else Moment.created)
        assert make_policy(decision, 0.25, Stopping()).describe()
    with pytest.raises(InputError, match=r"decision=now_or_later: .*moment=open"):
        validate_decision(Decision(DecisionKind.now_or_later))
    with pytest.raises(InputError, match=r"decision=threshold: .*now_or_later"):
        validate_decision(Decision(DecisionKind.threshold), Moment.open)
    assert make_policy(Decision(DecisionKind.grid), 0.25) != SingleThreshold(0.25)
    assert make_policy(Decision(DecisionKind.capacity, per_day=4), 0.25) == Capacity(4)
    assert [kind.value for kind, each in POLICIES.items() if each.optimistic] == ["grid"]
    assert [k.value for k, each in POLICIES.items() if each.by_threshold] == ["threshold", "grid"]


def test_the_parameters_of_a_decision_are_what_is_not_as_by_default():
    assert list_parameters(Decision(DecisionKind.per_ticket)) == {}
    assert list_parameters(Decision(DecisionKind.capacity, per_day=4)) == {"per_day": 4}
    factor = Decision(DecisionKind.per_ticket, break_even_factor=2.0)
    assert list_parameters(factor) == {"break_even_factor": 2.0}
