from itertools import chain, combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.evaluation.baselines import fit_baselines

PRIORITIES = ["Critical", "High", "Normal", "Low"]
DOLLARS = st.integers(0, 50).map(float)
TICKET = st.tuples(st.sampled_from(PRIORITIES), st.booleans(), DOLLARS, DOLLARS, DOLLARS, DOLLARS)


def labels(*values):
    return np.array(values, dtype=object)


def fit(priority, segments, breach, costs):
    return {
        baseline.name: baseline for baseline in fit_baselines(priority, segments, breach, costs)
    }


def equal_costs(tickets, breach_cost=100.0, escalation_cost=20.0):
    return cost_matrix(np.full(tickets, breach_cost), escalation_cost, charged=1, effectiveness=1)


@given(st.lists(TICKET, min_size=1, max_size=25))
def test_priority_set_matches_brute_force(rows):
    priority, breach, *dollars = (np.array(column) for column in zip(*rows, strict=True))
    priority, costs = priority.astype(object), CostMatrix(*dollars)

    def lose(chosen):
        return costs.losses(breach, np.isin(priority.astype(str), list(chosen))).sum()

    sets = chain.from_iterable(combinations(PRIORITIES, size) for size in range(5))
    escalate = fit(priority, [], breach, costs)["priority"].escalate(priority, [], costs)

    assert costs.losses(breach, escalate).sum() == min(lose(chosen) for chosen in sets)


def test_there_are_four_baselines_in_order():
    baselines = fit_baselines(None, [], np.array([True]), equal_costs(1))

    assert [baseline.name for baseline in baselines] == ["never", "always", "priority", "segment"]


def test_never_and_always():
    baselines = fit(None, [], np.array([True, False, True]), equal_costs(3))

    assert baselines["never"].escalate(None, [], equal_costs(2)).tolist() == [False, False]
    assert baselines["always"].escalate(None, [], equal_costs(2)).tolist() == [True, True]


def test_priority_by_hand():
    # An escalation pays for itself with one breach in five; Normal breaks even and is left.
    priority = np.repeat(labels("High", "Normal", "Low"), 5)
    breach = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], dtype=bool)
    baseline = fit(priority, [], breach, equal_costs(15))["priority"]
    others = labels("Low", "High", "Urgent", "Normal", None)

    assert baseline.escalate(others, [], equal_costs(5)).tolist() == [
        False,
        True,
        False,
        False,
        False,
    ]


def test_priority_leaves_a_tie_in_cents():
    # 0.1 + 0.2 - 0.3 is above 0 in floating point.
    gain, nothing = np.array([0.1, 0.2, 0.0]), np.zeros(3)
    costs = CostMatrix(nothing, np.array([0.0, 0.0, 0.3]), gain, nothing)
    baseline = fit(None, [], np.array([True, True, False]), costs)["priority"]

    assert not baseline.escalate(None, [], costs).any()


@pytest.mark.parametrize(("breached", "expected"), [(3, True), (1, False)])
def test_without_priorities_all_tickets_are_one_group(breached, expected):
    breach = np.arange(10) < breached
    baseline = fit(None, [], breach, equal_costs(10))["priority"]

    assert baseline.escalate(None, [], equal_costs(4)).tolist() == [expected] * 4
    # A priority appears only after training: it was not seen.
    assert baseline.escalate(labels("High"), [], equal_costs(1)).tolist() == [False]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, float("nan")])
def test_every_kind_of_missing_priority_is_the_same_group(missing):
    priority = labels(None, np.nan, "Low", "Low")
    breach = np.array([True, True, False, False])
    baseline = fit(priority, [], breach, equal_costs(4))["priority"]

    assert baseline.escalate(labels(missing, "Low"), [], equal_costs(2)).tolist() == [True, False]


def test_segment_rates_are_shrunk_by_twenty_tickets():
    segment = np.repeat(labels("a", "b"), [30, 10])
    breach = np.arange(40) < 10  # 10 of the 30 in a, none of the 10 in b: 0.25 overall
    baseline = fit(None, [segment], breach, equal_costs(40))["segment"]
    rate_a, rate_b = (10 + 20 * 0.25) / (30 + 20), (0 + 20 * 0.25) / (10 + 20)

    def escalates(value, threshold):
        costs = equal_costs(1, 100.0, 100 * threshold)  # p* = threshold
        return baseline.escalate(None, [labels(value)], costs).tolist() == [True]

    for value, rate in [("a", rate_a), ("b", rate_b), ("unseen", 0.25)]:
        assert escalates(value, rate - 1e-6)
        assert not escalates(value, rate + 1e-6)


def test_segments_are_combinations_in_order():
    first, second = np.repeat(labels("x", "y"), 200), np.tile(labels("y", "x"), 200)
    breach = (first == "x") & (second == "y")
    costs = equal_costs(400, 100.0, 50.0)
    baseline = fit(None, [first, second], breach, costs)["segment"]

    others = [labels("x", "y", "x", "y"), labels("y", "x", "x", "y")]
    chosen = baseline.escalate(None, others, equal_costs(4, 100.0, 50.0))
    assert chosen.tolist() == [True, False, False, False]


def test_segment_applies_the_per_ticket_rule():
    breach = np.arange(100) < 30
    baseline = fit(None, [], breach, equal_costs(100))["segment"]
    costs = cost_matrix([500.0, 50.0, 0.0], 20, charged=1, effectiveness=1)  # p* .04, .4, none

    assert baseline.escalate(None, [], costs).tolist() == [True, False, False]


def test_every_kind_of_missing_segment_is_the_same_segment():
    segment = np.repeat(labels(None, np.nan, "a"), 50)
    breach = np.arange(150) < 100
    baseline = fit(None, [segment], breach, equal_costs(150))["segment"]
    costs = equal_costs(3, 100.0, 80.0)  # p* = 0.8, above the overall rate

    chosen = baseline.escalate(None, [labels(pd.NA, np.nan, "a")], costs)
    assert chosen.tolist() == [True, True, False]


def test_baselines_are_fitted_on_training_tickets_only():
    priority, breach = labels("High", "Low"), np.array([True, False])
    baseline = fit(priority, [priority], breach, equal_costs(2))["priority"]
    # Elsewhere Low loses more, but the decision was made in training.
    dear = equal_costs(2, 10_000.0)

    assert baseline.escalate(priority, [priority], dear).tolist() == [True, False]
