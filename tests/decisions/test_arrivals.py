"""Capacity given out as tickets arrive."""

import itertools

import numpy as np
import pytest

from slarisk.decisions.arrivals import decide_on_arrival, learn_place_prices
from slarisk.decisions.facts import TicketFacts


def make_tickets(days, hours, minutes=None):
    created = np.datetime64("2024-03-01", "us") + 24 * 60 * 60 * 1_000_000 * np.asarray(days)
    created = created + 3_600_000_000 * np.asarray(hours)
    if minutes is not None:
        created = created + 60_000_000 * np.asarray(minutes)
    return TicketFacts(created, np.array([f"{n:03}" for n in range(len(created))], dtype=object))


def test_prices_by_hand():
    # of two days, one has a ticket of $100 at 15 h: a place is worth $50 until then
    tickets = make_tickets([0, 0, 1], [9, 15, 9])
    prices = learn_place_prices(np.array([30.0, 100.0, 40.0]), tickets, per_day=1)
    assert prices[15:].tolist() == [[0.0]] * 9
    assert prices[9:15].tolist() == [[50.0]] * 6
    # no ticket at 9 h saves as much, so it is worth as much before
    assert prices[:9].tolist() == [[50.0]] * 9
    assert decide_on_arrival(np.array([30.0, 100.0, 40.0]), tickets, prices).tolist() == [
        *(False, True, False)
    ]


def test_prices_of_two_places_by_hand():
    # as above: the second place brings nothing after 15 h, so that the tickets at 9 h may have it
    tickets = make_tickets([0, 0, 1], [9, 15, 9])
    prices = learn_place_prices(np.array([30.0, 100.0, 40.0]), tickets, per_day=2)
    assert prices[9:15].tolist() == [[50.0, 0.0]] * 6
    assert prices[:9].tolist() == [[50.0, 35.0]] * 9


def test_a_second_place_is_worth_less():
    rng = np.random.default_rng(0)
    tickets = make_tickets(np.repeat(np.arange(200), 6), rng.integers(8, 18, 1200))
    prices = learn_place_prices(rng.exponential(50, 1200), tickets, per_day=4)
    assert (np.diff(prices, axis=1) <= 1e-9).all()
    assert (np.diff(prices[8:18], axis=0) <= 1e-9).all()


def test_no_day_has_more_than_its_places_and_nothing_at_a_loss_gets_one():
    rng = np.random.default_rng(1)
    days = rng.integers(0, 30, 400)
    tickets = make_tickets(days, rng.integers(0, 24, 400))
    saving = rng.normal(10, 30, 400)
    chosen = decide_on_arrival(saving, tickets, np.zeros((24, 3)))
    assert np.bincount(days[chosen]).max() == 3
    assert (saving[chosen] > 0).all()
    # with no price, the first come first
    first = [i for i in np.argsort(tickets.created_at, kind="stable") if days[i] == 0]
    taken = [i for i in first if saving[i] > 0][:3]
    assert sorted(np.flatnonzero(chosen & (days == 0))) == sorted(taken)


def test_the_order_of_the_file_does_not_matter():
    rng = np.random.default_rng(2)
    tickets = make_tickets(rng.integers(0, 5, 100), rng.integers(0, 3, 100))
    saving, order = rng.exponential(20, 100), rng.permutation(100)
    prices = learn_place_prices(saving, tickets, 4)
    again = learn_place_prices(saving[order], tickets.take(order), 4)
    assert again == pytest.approx(prices)
    chosen = decide_on_arrival(saving, tickets, prices)
    assert (decide_on_arrival(saving[order], tickets.take(order), prices) == chosen[order]).all()


def test_prices_do_better_than_first_come_and_not_better_than_hindsight():
    rng = np.random.default_rng(3)
    days, n = 400, 12
    tickets = make_tickets(
        np.repeat(np.arange(days), n), rng.integers(8, 18, days * n), rng.integers(0, 60, days * n)
    )
    saving = rng.exponential(50, days * n)
    train, test = (np.flatnonzero(tickets.day % 2 == half) for half in (0, 1))
    prices = learn_place_prices(saving[train], tickets.take(train), 3)
    new, facts = saving[test], tickets.take(test)
    priced = new[decide_on_arrival(new, facts, prices)].sum()
    first_come = new[decide_on_arrival(new, facts, np.zeros((24, 3)))].sum()
    hindsight = sum(
        sorted((amount for _, amount in each), reverse=True)[k]
        for _, each in itertools.groupby(zip(facts.day, new, strict=True), lambda pair: pair[0])
        for each in [list(each)]
        for k in range(3)
    )
    assert first_come * 1.3 < priced < hindsight
