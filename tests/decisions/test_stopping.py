"""When to stop waiting: by hand, and against every rule there is."""

import itertools

import numpy as np
import pytest

from slarisk.config import CostPolicy, EffectKind
from slarisk.decisions.costs import cost_matrix
from slarisk.decisions.effect import Effect
from slarisk.decisions.stopping import (
    FEWEST,
    Landmarked,
    Stopping,
    find_first_age,
    find_relative_odds,
    learn_stopping,
)
from slarisk.decisions.timing import TicketTimes, TimedCosts

SHARES, HOURS = [0.0, 0.5], [0.0]


def fading(points=((0.0, 1.0), (1.0, 0.0))):
    fades = [[*each] for each in points]
    return Effect(CostPolicy("", 20, 1, 1.0, EffectKind.fading, fading=fades))


def time_tickets(dollars, open_hours, effect, target=8.0):
    count = len(open_hours)
    times = TicketTimes(
        np.array(open_hours, float), np.full(count, target), np.ones(count, dtype=bool)
    )
    return TimedCosts(cost_matrix(np.array(dollars, float), 20, 1, 1), times, effect)


def lay_out(probability, timed):
    """Rows at both landmarks; ``probability`` has one for each ticket and landmark."""
    ages = np.array(SHARES) * 8.0
    rows = [(t, k) for t in range(len(probability)) for k in (0, 1)]
    rows = [(t, k) for t, k in rows if timed.times.open_hours[t] > ages[k]]
    ticket, place = (np.array(each) for each in zip(*rows, strict=True))
    costs = timed.take(ticket).at_age(ages[place])
    odds = find_relative_odds(np.array([probability[t][k] for t, k in rows]), costs)
    return Landmarked(ticket, place, ages[place], odds)


def follow(stopping, rows, timed, priorities):
    target = timed.times.target_hours[rows.ticket]
    fires = stopping.decide(rows.odds, rows.age, target, priorities[rows.ticket])
    return find_first_age(rows, fires, len(timed.costs))


def test_waiting_sorts_out_what_resolves_itself():
    # two tickets look alike at first; one is over after an hour, the other breaches
    breach, priorities = np.array([False, True]), np.array(["High", "High"], dtype=object)
    timed = time_tickets([100, 100], [1, 9], fading())
    rows = lay_out([(0.5, 0.5), (0.5, 0.9)], timed)
    # at once: 20 + 20. At half the target: nothing, and 20 + half of 100
    learnt = learn_stopping(rows, timed, breach, priorities, SHARES, HOURS)
    assert learnt.by_share[0] == learnt.by_share[1]  # too few for thresholds of their own
    assert learnt.by_share[0][0] == pytest.approx(4)  # breaks even at 0.2, of which odds are 1/4
    at = follow(learnt, rows, timed, priorities)
    assert at.tolist() == [0.0, 0.0]
    assert timed.losses(breach, at).sum() == 40

    # the effect fades late: waiting costs nothing, and tells
    slow = time_tickets([100, 100], [1, 9], fading(((0.0, 1.0), (0.5, 1.0), (1.0, 0.0))))
    rows = lay_out([(0.5, 0.5), (0.5, 0.9)], slow)
    learnt = learn_stopping(rows, slow, breach, priorities, SHARES, HOURS)
    assert learnt.by_share[0][0] is None
    at = follow(learnt, rows, slow, priorities)
    assert at.tolist() == [np.inf, 4.0]
    assert slow.losses(breach, at).sum() == 20


@pytest.mark.parametrize("seed", range(6))
def test_each_threshold_loses_least_given_those_after_it(seed):
    rng = np.random.default_rng(seed)
    count = 40
    breach = rng.random(count) < 0.4
    open_hours = np.where(breach, 9.0, rng.uniform(0.5, 8.0, count))
    timed = time_tickets(rng.choice([50.0, 200.0], count), open_hours, fading())
    noise = rng.uniform(0.05, 0.95, (count, 2))
    probability = np.clip(0.5 * noise + 0.5 * breach[:, None], 0.01, 0.99)
    rows = lay_out(probability, timed)
    nobody = np.full(count, None, dtype=object)
    learnt = learn_stopping(rows, timed, breach, nobody, SHARES, HOURS)
    assert learnt.groups == []

    def lose(first, second):
        rule = Stopping(SHARES, HOURS, [], [[first, second]], [])
        return timed.losses(breach, follow(rule, rows, timed, nobody)).sum()

    ((first, second),) = learnt.by_share
    choices = [[*np.unique(rows.odds[rows.place == place]), None] for place in (0, 1)]
    assert lose(first, second) == min(lose(each, second) for each in choices[0])
    assert lose(None, second) == min(lose(None, each) for each in choices[1])
    # the rule after creation is chosen for all tickets that reach it: no pair is much better
    assert lose(first, second) <= 1.1 * min(lose(*pair) for pair in itertools.product(*choices))


def test_a_priority_with_few_tickets_has_the_thresholds_of_all():
    count = 2 * FEWEST
    breach = np.arange(count) % 2 == 0
    timed = time_tickets(np.full(count, 100.0), np.full(count, 9.0), fading())
    rows = lay_out([(0.9, 0.9) if each else (0.1, 0.1) for each in breach], timed)
    few = np.array(["Rare"] * (FEWEST - 1) + ["Often"] * (count - FEWEST + 1), dtype=object)
    learnt = learn_stopping(rows, timed, breach, few, SHARES, HOURS)
    assert learnt.groups == ["Often", "Rare"]
    assert learnt.by_share[1] == learnt.by_share[2]
    unknown = learnt.decide(np.array([40.0]), np.zeros(1), np.full(1, 8.0), np.array(["New"]))
    assert unknown.tolist() == [True]


def test_relative_odds_are_one_where_an_escalation_breaks_even():
    costs = cost_matrix(np.array([500.0, 50.0, 10.0]), 20, 1, 0.8)
    assert find_relative_odds(np.array([0.05, 0.5, 1.0]), costs).tolist() == pytest.approx(
        [1.0, 1.0, 0.0]
    )
    assert np.isfinite(find_relative_odds(np.array([0.0, 1.0, 1.0]), costs)).all()


def test_a_landmark_is_reached_to_the_second():
    rule = Stopping([0.0, 0.5], [0.0, 4.0], ["High"], [[None, 1.0]] * 2, [[None, 2.0]] * 2)
    second = 1 / 3600
    age = np.array([4 - 2 * second, 4 - second / 2, 4.0, 100.0, 3.0, 4.0])
    target = np.array([8.0, 8.0, 8.0, 8.0, np.nan, np.nan])
    assert rule.find_places(age, target).tolist() == [0, 1, 1, 1, 0, 1]
    chosen = rule.decide(np.full(6, 1.5), age, target, np.full(6, "High", dtype=object))
    assert chosen.tolist() == [False, True, True, True, False, False]
    assert rule.find_age(1, target).tolist() == [4.0] * 6


def test_costs_at_an_age_are_those_of_acting_then():
    timed = time_tickets([100, 100, 100], [9, 9, 9], fading())
    age, breached = np.array([0.0, 4.0, 8.0]), np.ones(3, dtype=bool)
    assert timed.at_age(age).tp.tolist() == timed.losses(breached, age).tolist() == [20, 70, 120]
    assert timed.at_age(age).thresholds().tolist() == pytest.approx([0.2, 0.4, np.inf])
