import numpy as np
import pytest

from slarisk.analysis.groups import find_groups


@pytest.fixture
def tickets(code, outcome):
    """Critical tickets by phone at night cost most; the channel of the others plays no part."""
    rng = np.random.default_rng(0)
    priority = rng.choice(["Critical", "Low"], 2000)
    channel = rng.choice(["Chat", "Email", "Phone"], 2000)
    hour = rng.integers(0, 24, 2000)
    chance = np.where(priority == "Critical", 0.3, 0.1)
    chance = np.where((priority == "Critical") & (channel == "Phone"), 0.9, chance)
    outcomes = outcome(rng.random(2000) < chance, price=np.where(priority == "Low", 10, 500))
    fields = [code("priority", priority), code("channel", channel)]
    return [*fields, code("hour", [f"{x:02}" for x in hour], natural=True)], outcomes


def test_the_costliest_group_is_found_and_told(tickets):
    fields, outcomes = tickets
    groups = find_groups(fields, outcomes, 0.95, 0)
    table = groups.table
    assert table["group"].iloc[0].startswith("Priority Critical; Channel Phone")
    assert table["group"].iloc[-1].startswith("Priority Low")
    assert table["average_cost"].is_monotonic_decreasing
    assert table["tickets"].sum() == 2000
    assert table["total_cost"].sum() == pytest.approx(outcomes.loss.sum())
    assert table["cost_share"].sum() == pytest.approx(1)
    assert groups.found_on == 1000


def test_the_rate_is_checked_on_the_other_half(tickets):
    fields, outcomes = tickets
    table = find_groups(fields, outcomes, 0.95, 0).table
    first = table.iloc[0]
    assert first["rate_low"] < first["checked_rate"] < first["rate_high"]
    assert first["checked_rate"] == pytest.approx(0.9, abs=0.1)


def test_without_a_difference_there_are_no_groups(code, outcome):
    field = code("channel", ["a", "b"] * 50)
    assert find_groups([field], outcome(np.ones(100), price=5), 0.95, 0) is None
    assert find_groups([], outcome(np.arange(100) < 5), 0.95, 0) is None
    alike = outcome(np.arange(100) < 50)
    assert find_groups([code("channel", ["a"] * 100)], alike, 0.95, 0) is None


def test_a_rule_does_not_list_thirty_products(code, outcome):
    rng = np.random.default_rng(0)
    product = rng.integers(0, 30, 3000)
    field = code("product", [f"P{i}" for i in product])
    assert find_groups([field], outcome(rng.random(3000) < product / 30, 5), 0.95, 0) is None
