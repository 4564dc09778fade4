import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.analysis.escalation import (
    BY_CHANCE,
    BY_PRIORITY,
    BY_PROBABILITY,
    BY_SAVING,
    ChampionScores,
    capture_risk,
    chance_escalated,
    measure_escalation,
)
from slarisk.config import CostPolicy
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import Effect
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.timing import TicketTimes, TimedCosts


def measure(probability, breach, price, day, capacities=(1,), effectiveness=0.8):
    n = len(breach)
    return measure_escalation(
        ChampionScores(
            "model",
            np.ones(len(breach), bool),
            np.asarray(probability, float),
            {"test": len(breach)},
        ),
        np.asarray(breach, bool),
        TimedCosts(
            cost_matrix(price, 20, 1, effectiveness),
            TicketTimes(np.full(n, np.inf), np.full(n, np.nan), np.zeros(n, dtype=bool)),
            Effect(CostPolicy("", 20, 1, effectiveness)),
        ),
        TicketFacts(
            np.asarray(day, "datetime64[D]").astype("datetime64[us]"),
            np.array([f"{n}" for n in range(len(day))], dtype=object),
        ),
        np.asarray(price, float),
        capacities,
        0.95,
    )


@pytest.fixture
def two_days():
    """Two days of two tickets: a likely cheap one, and a dear one."""
    return measure(
        [0.9, 0.2, 0.9, 0.2], [True, True, False, True], [50.0, 500.0, 50.0, 500.0], [0, 0, 1, 1]
    )


def look_up(found, per_day, ranking):
    table = found.table
    same = table["per_day"].isna() if per_day is None else table["per_day"].eq(per_day)
    return table[same & table["ranking"].eq(ranking)].iloc[0]


def test_one_escalation_a_day_by_hand(two_days):
    # by saving: the $500 tickets; both breach, so 0.8 * 500 is averted twice, for $20 each
    names = ["escalated", "averted", "spent", "net"]
    row = look_up(two_days, 1, BY_SAVING)
    assert row[names].tolist() == pytest.approx([2, 800, 40, 760])
    assert row["averted_share"] == pytest.approx(800 / 1050)
    assert row["return"] == pytest.approx(20)
    # by probability: the $50 tickets, of which one breaches
    row = look_up(two_days, 1, BY_PROBABILITY)
    assert row[names].tolist() == pytest.approx([2, 40, 40, 0])
    # at random: each ticket with a chance of one half
    row = look_up(two_days, 1, BY_CHANCE)
    assert row[names].tolist() == pytest.approx([2, 420, 40, 380])


def test_priority_stops_where_in_hindsight_it_does_not_pay():
    # two cheap tickets avert 0.8 * 50 = 40 together, and cost 40
    found = measure([0.5] * 3, [True, False, True], [50.0, 50.0, 500.0], [0, 0, 0])
    row = look_up(found, None, BY_PRIORITY)
    assert row[["escalated", "net"]].tolist() == pytest.approx([1, 380])


def test_by_saving_leaves_what_does_not_pay():
    found = measure([0.01, 0.9], [False, True], [500.0, 500.0], [0, 0], capacities=(2,))
    assert look_up(found, 2, BY_SAVING)["escalated"] == 1  # 0.01 * 400 is less than 20
    assert look_up(found, 2, BY_PROBABILITY)["escalated"] == 2
    assert look_up(found, None, BY_SAVING)["escalated"] == 1


def test_the_gain_is_over_the_best_ranking_without_a_model(two_days):
    first, last = two_days.edge.to_dict("records")
    assert (first["per_day"], first["rival"], first["gain"]) == (1, BY_PRIORITY, 0)
    assert np.isnan(last["per_day"])
    # no limit: by saving escalates all, by priority the dear ones alone, which do it as well
    assert last["gain"] == pytest.approx(0)
    assert last["gain_low"] <= last["gain"] <= last["gain_high"]


def test_days_have_the_capacity_each_and_ties_share_it():
    score, day = np.array([2.0, 2.0, 2.0, 1.0, 9.0]), np.array([0, 0, 0, 0, 1])
    assert chance_escalated(score, day, 2) == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0, 1])
    never = np.array([-np.inf, 1.0])
    assert chance_escalated(never, np.zeros(2, int), 5).tolist() == [0, 1]
    assert chance_escalated(never, np.zeros(2, int), None).tolist() == [0, 1]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30),
    st.integers(1, 6),
)
def test_no_day_has_more_escalations_than_its_capacity(tickets, per_day):
    score, day = (np.array(column) for column in zip(*tickets, strict=True))
    chance = chance_escalated(score.astype(float), day, per_day)
    for each in np.unique(day):
        expected = min(per_day, int((day == each).sum()))
        assert chance[day == each].sum() == pytest.approx(expected)
    assert ((chance >= 0) & (chance <= 1)).all()


def test_capture_by_hand():
    tickets, captured = capture_risk(np.array([1.0, 3, 3, 2]), np.array([0.0, 30, 10, 60]))
    assert tickets.tolist() == [0, 0.5, 0.75, 1]  # the two that tie are taken together
    assert captured.tolist() == [0, 0.4, 1, 1]
    tickets, captured = capture_risk(np.arange(5000.0), np.ones(5000))
    assert len(tickets) <= 201
    assert (tickets[0], tickets[-1], captured[-1]) == (0, 1, 1)
