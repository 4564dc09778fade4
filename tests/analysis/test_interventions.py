from itertools import combinations

import numpy as np
import pytest

from slarisk.analysis.interventions import rank_interventions, validate_measures
from slarisk.config import Measures
from slarisk.errors import InputError
from slarisk.stats.rates import loss_interval


@pytest.fixture
def tickets(code, outcome):
    rng = np.random.default_rng(3)
    priority = rng.choice(["Critical", "High", "Low"], 600, p=[0.2, 0.3, 0.5])
    channel = rng.choice(["Chat", "Email", "Phone"], 600)
    product = rng.choice(list("ABCD"), 600)
    price = np.select([priority == "Critical", priority == "High"], [500, 200], 10)
    outcomes = outcome(rng.random(600) < 0.1 + 0.3 * (channel == "Email"), price)
    fields = [code("priority", priority), code("channel", channel), code("product", product)]
    return fields, outcomes


def rank(tickets, draws=50, fewest=10, **measures):
    return rank_interventions(*tickets, Measures(**measures), 0.95, draws, fewest, 0)


def test_a_ranking_by_hand(code, outcome):
    field = code("team", ["a"] * 100 + ["b"] * 50 + ["c"] * 50)
    breach = np.concatenate([np.arange(100) < 20, np.arange(50) < 20, np.arange(50) < 0])
    ranked, best = rank(([field], outcome(breach, 100)), reduction=0.1, reach_effort=2, budget=2)
    table = ranked.table
    assert table["segment"].tolist() == ["Team b", "Team a"]  # c has nothing to save
    assert table["effort"].tolist() == [1.5, 2]
    assert table["saved"].tolist() == pytest.approx([200, 200])
    assert table["per_point"].tolist() == pytest.approx([200 / 1.5, 100])
    assert ranked.table["top_share"].sum() == pytest.approx(1)
    # either saves $200, and both do not fit
    assert (best.saved, len(best.table), best.proven) == (pytest.approx(200), 1, True)


def test_intervals_are_those_of_a_scenario(tickets):
    fields, outcomes = tickets
    row = rank(tickets)[0].table.set_index("segment").loc["Channel Email"]
    mine = fields[1].codes == fields[1].levels.index("Email")
    low, high = loss_interval(outcomes.breach[mine], outcomes.price[mine], 0.95)
    assert (row["saved_low"], row["saved_high"]) == pytest.approx((0.2 * low, 0.2 * high))
    assert row["saved"] == pytest.approx(0.2 * outcomes.loss[mine].sum())


def test_a_price_for_every_ticket(code, outcome):
    rng = np.random.default_rng(0)
    team, price = rng.choice(["a", "b"], 500), rng.uniform(1, 900, 500)
    outcomes = outcome(rng.random(500) < 0.4, price)
    table = rank(([code("team", team)], outcomes))[0].table.set_index("segment")
    lost = outcomes.loss[team == "a"]
    assert table.loc["Team a", "saved"] == pytest.approx(0.2 * lost.sum())
    low, _ = loss_interval(outcomes.breach[team == "a"], price[team == "a"], 0.95)
    assert table.loc["Team a", "saved_low"] == pytest.approx(0.2 * low, rel=0.01)


@pytest.mark.parametrize("budget", [2.0, 3.5, 6.0])
def test_no_set_saves_more_than_the_best(tickets, budget):
    """Every set of up to four measures is tried; a ticket in two of them counts once."""
    fields, outcomes = tickets
    fields = fields[:2]
    ranked, best = rank((fields, outcomes), budget=budget)
    masks = {}
    for segment in ranked.table["segment"]:
        mask = np.ones(600, dtype=bool)
        for part in segment.split(", "):
            name, level = part.split(" ")
            field = next(each for each in fields if each.label == name)
            mask &= field.codes == field.levels.index(level)
        masks[segment] = mask
    effort = dict(zip(ranked.table["segment"], ranked.table["effort"], strict=True))
    most = 0.0
    for size in range(1, 5):
        for chosen in combinations(masks, size):
            if sum(effort[name] for name in chosen) <= budget:
                covered = np.any([masks[name] for name in chosen], axis=0)
                most = max(most, 0.2 * outcomes.loss[covered].sum())
    assert best.saved == pytest.approx(most)
    assert best.proven
    assert best.effort <= budget + 1e-9


def test_nothing_fits_into_no_budget(tickets):
    best = rank(tickets, budget=0)[1]
    assert best.table.empty
    assert (best.saved, best.effort, best.proven) == (0, 0, True)


def test_ranks_have_intervals(tickets):
    table = rank(tickets, draws=200)[0].table
    assert (table["rank_low"] <= table["rank_high"]).all()
    assert table["rank_low"].min() == 1
    first = table.iloc[0]
    assert first["rank_low"] <= 1 <= first["rank_high"]
    assert 0 < first["top_share"] <= 1


def test_the_best_of_many_equals_is_overstated(code, outcome):
    rng = np.random.default_rng(1)
    team = rng.choice(list("abcdefghij"), 1000)
    ranked, _ = rank(([code("team", team)], outcome(rng.random(1000) < 0.2, 100)), draws=200)
    assert ranked.optimism > 0.1
    assert ranked.table["top_share"].iloc[0] < 0.8


def test_nothing_to_rank(code, outcome):
    field = code("team", ["a"] * 50)
    assert rank(([field], outcome(np.zeros(50)))) is None
    assert rank(([field], outcome(np.ones(50), price=0))) is None
    assert rank(([], outcome(np.ones(50)))) is None
    assert rank(([field], outcome(np.ones(50))), fewest=51) is None


def test_what_is_not_known_is_no_measure(code, outcome):
    field = code("team", ["(none)"] * 30 + ["a"] * 30)
    assert rank(([field], outcome(np.ones(60))))[0].table["segment"].tolist() == ["Team a"]


def test_measures_without_effort_are_refused():
    validate_measures(Measures(setup_effort=0, reach_effort=1))
    with pytest.raises(InputError, match=r"measures\.setup_effort .*reach_effort"):
        validate_measures(Measures(setup_effort=0, reach_effort=0))
