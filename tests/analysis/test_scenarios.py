import numpy as np
import pandas as pd
import pytest

from slarisk.analysis.fields import read_outcomes
from slarisk.analysis.scenarios import (
    SkippedScenario,
    find_segment,
    simulate_scenarios,
    validate_scenarios,
)
from slarisk.config import Costliest, Scenario
from slarisk.errors import InputError
from slarisk.stats.rates import wilson_interval


@pytest.fixture
def data(composed):
    return composed("data=sample").data


@pytest.fixture
def tickets():
    """Ten tickets: Critical by chat (4, all breached), High by mail (4, 3 breached), Low (2)."""
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(10), unit="h")
    return pd.DataFrame(
        {
            "priority": pd.Series(["Critical"] * 4 + ["High"] * 4 + ["Low"] * 2, dtype="str"),
            "channel": pd.Series(["Chat"] * 4 + ["Email"] * 4 + ["Chat", "Email"], dtype="str"),
            "customer_age": pd.Series([*"23456789", None, "40"], dtype="str"),
            "created_at": created,
            "breach": [True] * 4 + [True] * 3 + [False] * 3,
            "breach_cost": [500.0] * 4 + [200.0] * 4 + [10.0] * 2,
            "resolution_hours": 1.0,
            "sla_target_hours": [4.0] * 4 + [8.0] * 4 + [72.0] * 2,
        }
    )


@pytest.fixture
def simulate(tickets, data):
    def run(tickets=tickets, data=data, **scenario):
        scenario = {"title": "Try it", "reduction": 0.5} | scenario
        scenarios = {"S": Scenario(**scenario)}
        validate_scenarios(scenarios)
        (result,) = simulate_scenarios(scenarios, tickets, data, read_outcomes(tickets), 0.95)
        return result

    return run


def test_a_scenario_by_hand(simulate):
    found = simulate(segment={"priority": "High"}, cost=50, cost_per_ticket=10)
    assert (found.tickets, found.breaches) == (4, 3)
    assert found.expected == 1.5
    assert found.avoided == 2  # to even, as the notebook rounds
    assert (found.saved, found.expected_saved) == (400, 300)
    assert found.new_rate == pytest.approx(5 / 10)
    assert found.new_cost == 4 * 500 + 3 * 200 - 400
    assert (found.cost, found.net) == (90, 310)
    low, high = wilson_interval([3], [4])
    assert (found.expected_low, found.expected_high) == pytest.approx((2 * low[0], 2 * high[0]))
    assert (found.saved_low, found.saved_high) == pytest.approx((400 * low[0], 400 * high[0]))


def test_savings_do_not_depend_on_the_order_of_the_tickets(simulate, tickets):
    """The notebook's do: it forgives the first rows of a segment of mixed prices."""
    forward = simulate(any_of=[{"channel": "Chat"}, {"channel": "Email"}], reduction=0.3)
    backward = simulate(tickets.iloc[::-1].reset_index(drop=True), reduction=0.3)
    assert forward.expected_saved == backward.expected_saved == pytest.approx(0.3 * 2600)
    assert forward.saved == backward.saved == pytest.approx(2 * 2600 / 7)


def test_the_costliest_segments_are_found(simulate):
    found = simulate(costliest=Costliest(["priority", "channel"], 2))
    assert found.segment == (
        "priority Critical and channel Chat; or priority High and channel Email"
    )
    assert (found.tickets, found.breaches) == (8, 7)


@pytest.mark.parametrize(
    ("conditions", "count"),
    [
        ({}, 10),
        ({"channel": ["Chat", "Email"]}, 10),
        ({"channel": {"not": "Chat"}}, 5),
        ({"channel": {"not": ["Chat", "Email"]}}, 0),
        ({"hour": 3}, 1),
        ({"hour": {"at_least": 3}}, 7),
        ({"hour": {"at_least": 3, "below": 5}, "channel": "Email"}, 1),
        ({"weekday": "Monday"}, 10),
        ({"customer_age": {"below": 4}}, 2),  # 10 is more, and a gap is no number
        ({"priority": "critical"}, 0),
    ],
)
def test_conditions(tickets, data, conditions, count):
    assert find_segment(tickets, data, conditions, "scenarios.S").sum() == count


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (
            {"segment": {"hour": 3}, "any_of": [{"hour": 4}]},
            r"scenarios\.S: .*segment.*any_of.*costliest",
        ),
        ({"costliest": Costliest([], 2)}, r"scenarios\.S\.costliest: .*by"),
        ({"segment": {"colour": "red"}}, r"scenarios\.S: .*'colour'"),
        ({"segment": {"channel": {"near": 3}}}, r"scenarios\.S\.segment\.channel=\{'near': 3\}"),
        ({"segment": {"channel": {"at_least": 3}}}, r"scenarios\.S\.segment\.channel: "),
        ({"segment": {"hour": {"below": "noon"}}}, r"hour\.below=noon: "),
        ({"segment": {"hour": {"below": float("nan")}}}, r"hour\.below=nan"),
        ({"segment": {"hour": {}}}, r"scenarios\.S\.segment\.hour={}"),
    ],
)
def test_a_scenario_that_means_nothing_is_refused(simulate, scenario, message):
    with pytest.raises(InputError, match=message):
        simulate(**scenario)


def test_what_the_tickets_cannot_answer_is_left_out(simulate, tickets, composed):
    found = simulate(segment={"channel": "Telegram"})
    assert found == SkippedScenario("S", "Try it", "no ticket has channel Telegram")
    found = simulate(costliest=Costliest(["product"], 1))
    assert found == SkippedScenario("S", "Try it", "the data policy has no field product")


def test_a_segment_without_a_breach_has_nothing_to_save(simulate):
    found = simulate(segment={"priority": "Low"})
    assert (found.avoided, found.saved, found.net) == (0, 0, 0)
    assert found.saved_high > 0  # the next period's may breach
