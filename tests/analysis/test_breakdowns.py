import numpy as np
import pytest

from slarisk.analysis.breakdowns import break_down, list_breakdowns
from slarisk.stats.rates import wilson_interval


@pytest.fixture
def four(code, outcome):
    """Four tickets: two by chat that both breach, at 500 and 10 dollars, and two by phone."""
    outcomes = outcome([1, 1, 0, 0], price=[500, 10, 500, 10], hours=[10, 30, 1, np.nan])
    return code("channel", ["Chat", "Chat", "Phone", "Phone"]), outcomes


def test_a_breakdown_by_hand(four):
    field, outcomes = four
    table = break_down([field], outcomes, 0.95).table
    assert table["channel"].tolist() == ["Chat", "Phone"]  # by falling rate
    assert table[["tickets", "breaches", "breach_rate"]].to_numpy().tolist() == [
        [2, 2, 1.0],
        [2, 0, 0.0],
    ]
    assert table[["mean_hours", "median_hours"]].to_numpy().tolist() == [[20, 20], [1, 1]]
    assert table[["total_cost", "average_cost"]].to_numpy().tolist() == [[510, 255], [0, 0]]
    low, high = wilson_interval([2, 0], [2, 2])
    assert table["rate_low"].tolist() == low.tolist()
    assert table["rate_high"].tolist() == high.tolist()


def test_natural_order_is_kept_and_combinations_go_by_cost(code, outcome):
    hour = code("hour", ["01", "00", "01"], natural=True)
    kind = code("ticket_type", ["a", "a", "b"])
    outcomes = outcome([1, 0, 1], price=[10, 10, 500])
    assert break_down([hour], outcomes, 0.95).table["hour"].tolist() == ["00", "01"]
    both = break_down([hour, kind], outcomes, 0.95)
    assert both.title == "Hour \u00d7 ticket type"
    assert both.table[["hour", "ticket_type"]].to_numpy().tolist() == [
        ["01", "b"],
        ["01", "a"],
        ["00", "a"],
    ]
    assert both.table["total_cost"].sum() == 510


def test_small_segments_are_kept_aside(four):
    breakdown = break_down([four[0]], four[1], 0.95)
    assert breakdown.at_least(3).empty
    assert len(breakdown.at_least(2)) == 2


def test_what_is_broken_down():
    names = list_breakdowns(["priority", "channel", "ticket_type", "hour"], ["priority", "team"])
    assert names == [
        ("priority",),
        ("channel",),
        ("ticket_type",),
        ("hour",),
        ("ticket_type", "priority"),
        ("priority", "channel"),
    ]
    assert list_breakdowns(["team"], ["team"]) == [("team",)]
    assert list_breakdowns([], []) == []
