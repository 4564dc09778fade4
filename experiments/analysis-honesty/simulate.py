"""Does the analysis call chance by its name, and do its intervals cover?

``python experiments/analysis-honesty/simulate.py [data sets]``, from the repository root. Every
data set is drawn, so the truth is known. README.md has the result.
"""

import sys

import numpy as np
import pandas as pd

from slarisk.analysis.drivers import DriverVerdict, find_drivers
from slarisk.analysis.fields import Field, Outcomes
from slarisk.analysis.interventions import rank_interventions
from slarisk.config import Measures
from slarisk.stats.rates import difference_interval, loss_interval, wilson_interval

CONFIDENCE = 0.95
PRICES = np.array([500.0, 200.0, 50.0, 10.0])


def draw_tickets(rng, tickets):
    """Draw fields that go together with each other, rare values among them, and two numbers."""
    priority = rng.choice(4, tickets, p=[0.12, 0.22, 0.4, 0.26])
    product = rng.choice(30, tickets, p=rng.dirichlet(np.ones(30)))
    kind = (product % 5 + rng.integers(0, 2, tickets)) % 5
    channel = np.where(rng.random(tickets) < 0.4, priority, rng.integers(0, 4, tickets))
    codes = {
        "priority": (priority, 4),
        "product": (product, 30),
        "ticket_type": (kind, 5),
        "channel": (channel, 4),
        "hour": (rng.integers(0, 24, tickets), 24),
        "weekday": (rng.integers(0, 7, tickets), 7),
    }
    fields = [
        Field(name, code.astype(np.int64), tuple(f"{name} {i}" for i in range(levels)))
        for name, (code, levels) in codes.items()
    ]
    numbers = {
        "age": rng.integers(18, 80, tickets).astype(float),
        "tenure": rng.exponential(300, tickets) * (1 + priority),
    }
    return fields, numbers


def count_false_alarms(sets, by_priority):
    """Count the data sets in which a driver that plays no part is called significant.

    Breaches depend on nothing, or on the priority alone; then it is the priority that other
    fields go with, and a driver is called if it is said to matter beyond it.
    """
    called = 0
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        tickets = int(rng.choice([150, 600, 2500]))
        fields, numbers = draw_tickets(rng, tickets)
        rate = np.full(4, rng.choice([0.04, 0.15, 0.4]))
        if by_priority:
            rate = np.array([0.6, 0.35, 0.15, 0.05])
        breach = rng.random(tickets) < rate[fields[0].codes]
        drivers = find_drivers(fields, numbers, breach, fields[0], CONFIDENCE, 10, seed)
        if by_priority:
            called += any(
                d.verdict is DriverVerdict.matters for d in drivers if d.name != "priority"
            )
        else:
            called += any(d.q_value < 1 - CONFIDENCE for d in drivers)
    return called


def cover_rates(rng, sets):
    """Share of Wilson intervals that hold the true rate, over rates and sizes of segments."""
    held = []
    for tickets in (10, 30, 100, 1000):
        rate = rng.uniform(0.02, 0.9, sets)
        breaches = rng.binomial(tickets, rate)
        low, high = wilson_interval(breaches, np.full(sets, tickets), CONFIDENCE)
        held.append((f"breach rate, {tickets} tickets", np.mean((low <= rate) & (rate <= high))))
    return held


def cover_differences(rng, sets):
    """Share of intervals of a change of rate that hold the true change."""
    held = []
    for sizes in ((20, 40), (200, 300)):
        rates = rng.uniform(0.05, 0.8, (sets, 2))
        hits = 0
        for first, second in rates:
            counts = rng.binomial(sizes[0], first), rng.binomial(sizes[1], second)
            low, high = difference_interval(counts, sizes, CONFIDENCE)
            hits += low <= second - first <= high
        held.append((f"change of rate, {sizes[0]} and {sizes[1]} tickets", hits / sets))
    return held


def cover_losses(rng, sets):
    """Share of intervals of a segment's loss that hold what it loses on average."""
    held = []
    for tickets in (30, 100, 1000):
        for kind in ("one price", "four prices", "own prices"):
            hits = 0
            for _ in range(sets):
                group = rng.choice(4, tickets, p=[0.2, 0.2, 0.3, 0.3])
                rate = rng.uniform(0.1, 0.7, 4)[group]
                price = {
                    "one price": np.full(tickets, 500.0),
                    "four prices": PRICES[group],
                    "own prices": rng.uniform(10, 500, tickets),
                }[kind]
                low, high = loss_interval(rng.random(tickets) < rate, price, CONFIDENCE)
                hits += low <= rate @ price <= high
            held.append((f"loss of a segment, {tickets} tickets, {kind}", hits / sets))
    return held


def cover_measures(rng, sets):
    """Share of intervals of a measure's saving that hold what it saves on average.

    The saving of a measure picked beforehand: that of the first of the ranking is told to be
    overstated.
    """
    measures = Measures()
    hits = wanted = 0
    for seed in range(sets):
        fields, _ = draw_tickets(rng, 1500)
        fields = [fields[0], fields[3]]
        rate = np.array([0.6, 0.35, 0.15, 0.05])
        breach = rng.random(1500) < rate[fields[0].codes]
        nothing = np.full(1500, np.nan)
        outcomes = Outcomes(
            breach,
            PRICES[fields[0].codes],
            nothing,
            nothing,
            np.full(1500, "NaT", "datetime64[us]"),
        )
        ranked, _ = rank_interventions(fields, outcomes, measures, CONFIDENCE, 500, 10, seed)
        table = ranked.table.set_index("segment")
        for level in range(4):
            row = table.loc[f"Priority priority {level}"]
            true = measures.reduction * row["tickets"] * rate[level] * PRICES[level]
            hits += row["saved_low"] <= true <= row["saved_high"]
            wanted += 1
    return [("saving of a measure, 60 to 600 tickets", hits / wanted)]


def main(sets: str = "500") -> None:
    """Print false alarms and coverage."""
    count, rng = int(sets), np.random.default_rng(2024)
    for by_priority, words in ((False, "nothing matters"), (True, "only priority matters")):
        called = count_false_alarms(count, by_priority)
        print(f"{words}: a driver is called in {called} of {count} data sets, {called / count:.1%}")
    rows = [
        *cover_rates(rng, 20 * count),
        *cover_differences(rng, 10 * count),
        *cover_losses(rng, 4 * count),
        *cover_measures(rng, max(count // 5, 1)),
    ]
    table = pd.DataFrame(rows, columns=["interval", "covers"])
    print(table.to_string(index=False, formatters={"covers": "{:.1%}".format}))


if __name__ == "__main__":
    main(*sys.argv[1:])
