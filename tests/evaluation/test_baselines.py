from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import CostPolicy
from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.decisions.effect import Effect
from slarisk.evaluation.baselines import (
    AT_CREATION,
    BASELINE_WORDS,
    choose_priorities,
    decide_baselines,
)

PRIORITIES = ["Critical", "High", "Normal", "Low"]
EFFECT = Effect(CostPolicy("", 20, 1, 1.0))
DOLLARS = st.integers(0, 50).map(float)
TICKET = st.tuples(st.sampled_from(PRIORITIES), st.booleans(), DOLLARS, DOLLARS, DOLLARS, DOLLARS)


def labels(*values):
    return np.array(values, dtype=object)


def tickets(breach=None, **fields):
    """Tickets of some fields, all arrays of one length, with their labels."""
    size = len(breach) if breach is not None else len(next(iter(fields.values())))
    frame = pd.DataFrame({name: labels(*values) for name, values in fields.items()}, range(size))
    labelled = frame.assign(breach=np.zeros(size, bool) if breach is None else breach)
    return labelled.assign(open_hours=np.inf, breaches_after=np.nan)


def decide(training, test, training_costs, test_costs, segments=()):
    """Decisions of all rules at creation, as lists by the name of the rule."""
    decided = decide_baselines(training, test, training_costs, test_costs, segments, EFFECT)
    return {name: (at == 0).tolist() for name, at in decided.ages.items()}


def equal_costs(tickets, breach_cost=100.0, escalation_cost=20.0):
    return cost_matrix(np.full(tickets, breach_cost), escalation_cost, charged=1, effectiveness=1)


@given(st.lists(TICKET, min_size=1, max_size=25))
def test_priority_set_matches_brute_force(rows):
    priority, breach, *dollars = (np.array(column) for column in zip(*rows, strict=True))
    costs = CostMatrix(*dollars)

    def lose(chosen):
        return costs.losses(breach, np.isin(priority, list(chosen))).sum()

    sets = chain.from_iterable(combinations(PRIORITIES, size) for size in range(5))
    training = tickets(breach, priority=priority)
    decided = decide(training, training, costs, costs)["priority"]

    assert costs.losses(breach, np.array(decided)).sum() == min(lose(chosen) for chosen in sets)


def test_there_are_seven_rules_in_order():
    training = tickets([True]).assign(breaches_after=8.0, open_hours=9.0)
    decided = decide(training, training, equal_costs(1), equal_costs(1))
    assert list(decided) == list(BASELINE_WORDS)


def test_without_times_there_are_no_timers():
    decided = decide(tickets([True]), tickets([True]), equal_costs(1), equal_costs(1))
    assert list(decided) == list(AT_CREATION)


def test_never_and_always():
    decided = decide(
        tickets([True, False, True]), tickets([True, False]), equal_costs(3), equal_costs(2)
    )
    assert decided["never"] == [False, False]
    assert decided["always"] == [True, True]


def test_priority_by_hand():
    # An escalation pays for itself with one breach in five; Normal breaks even and is left.
    training = tickets(
        np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=bool),
        priority=np.repeat(["High", "Normal", "Low"], 5),
    )
    test = tickets(priority=["Low", "High", "Urgent", "Normal", None])

    decided = decide(training, test, equal_costs(15), equal_costs(5))
    assert decided["priority"] == [False, True, False, False, False]


def test_priority_leaves_a_tie_in_cents():
    # 0.1 + 0.2 - 0.3 is above 0 in floating point.
    gain, nothing = np.array([0.1, 0.2, 0.0]), np.zeros(3)
    costs = CostMatrix(nothing, np.array([0.0, 0.0, 0.3]), gain, nothing)
    assert choose_priorities(tickets(np.array([True, True, False])), costs) == set()


@pytest.mark.parametrize(("breached", "expected"), [(3, True), (1, False)])
def test_without_priorities_all_tickets_are_one_group(breached, expected):
    training = tickets(np.arange(10) < breached)
    new = tickets(np.zeros(4, dtype=bool))
    assert decide(training, new, equal_costs(10), equal_costs(4))["priority"] == [expected] * 4
    # A priority that only test tickets have was not seen in training.
    high = tickets(priority=["High"])
    assert decide(training, high, equal_costs(10), equal_costs(1))["priority"] == [False]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, float("nan")])
def test_every_kind_of_missing_priority_is_the_same_group(missing):
    training = tickets(np.array([True, True, False, False]), priority=[None, np.nan, "Low", "Low"])
    test = tickets(priority=[missing, "Low"])
    assert decide(training, test, equal_costs(4), equal_costs(2))["priority"] == [True, False]


def test_segment_rates_are_shrunk_by_twenty_tickets():
    # 10 of the 30 in a, none of the 10 in b: 0.25 overall
    training = tickets(np.arange(40) < 10, kind=np.repeat(["a", "b"], [30, 10]))
    rate_a, rate_b = (10 + 20 * 0.25) / (30 + 20), (0 + 20 * 0.25) / (10 + 20)

    def escalates(value, threshold):
        costs = equal_costs(1, 100.0, 100 * threshold)  # p* = threshold
        test = tickets(kind=[value])
        return decide(training, test, equal_costs(40), costs, ["kind"])["segment"] == [True]

    for value, rate in [("a", rate_a), ("b", rate_b), ("unseen", 0.25)]:
        assert escalates(value, rate - 1e-6)
        assert not escalates(value, rate + 1e-6)


def test_segments_are_combinations_in_order():
    first, second = np.repeat(["x", "y"], 200), np.tile(["y", "x"], 200)
    training = tickets((first == "x") & (second == "y"), first=first, second=second)
    test = tickets(first=["x", "y", "x", "y"], second=["y", "x", "x", "y"])
    costs = [equal_costs(size, 100.0, 50.0) for size in (400, 4)]

    decided = decide(training, test, *costs, ["first", "absent", "second"])
    assert decided["segment"] == [True, False, False, False]


def test_segment_applies_the_per_ticket_rule():
    costs = cost_matrix([500.0, 50.0, 0.0], 20, charged=1, effectiveness=1)  # p* .04, .4, none
    training, test = tickets(np.arange(100) < 30), tickets(np.zeros(3, dtype=bool))
    assert decide(training, test, equal_costs(100), costs)["segment"] == [True, False, False]


def test_every_kind_of_missing_segment_is_the_same_segment():
    training = tickets(np.arange(150) < 100, kind=np.repeat(labels(None, np.nan, "a"), 50))
    test = tickets(kind=[pd.NA, np.nan, "a"])
    costs = equal_costs(3, 100.0, 80.0)  # p* = 0.8, above the overall rate
    decided = decide(training, test, equal_costs(150), costs, ["kind"])
    assert decided["segment"] == [True, True, False]


def test_rules_are_fitted_on_training_tickets_only():
    """The labels and costs of the test tickets would escalate Low, and leave High."""
    training = tickets(np.array([True, False] * 200), priority=["High", "Low"] * 200)
    test = tickets(np.array([False, True]), priority=["High", "Low"])
    costs = equal_costs(400), equal_costs(2, 10_000.0, 5_000.0)
    decided = decide(training, test, *costs, ["priority"])
    assert decided["priority"] == decided["segment"] == [True, False]
