"""How breaches move over time, how long resolutions take, and whether the KPI is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.analysis.fields import Field, Outcomes
from slarisk.stats.rates import wilson_interval

if TYPE_CHECKING:
    from slarisk.arrays import Floats

_PERIODS = (("M", "month", 24 * 30.4), ("W", "week", 24 * 7), ("D", "day", 24), ("h", "hour", 1))
_FEWEST, _MOST = 6, 60  # points that make a line worth looking at
_BINS = 30


@dataclass(frozen=True, eq=False)
class Trend:
    """Breaches by the time of creation.

    ``table`` has one row per ``unit`` (month, week, day or hour) with tickets: ``start``,
    ``tickets``, ``breaches``, ``breach_rate``, ``rate_low``, ``rate_high``, ``total_cost``.
    """

    unit: str
    table: pd.DataFrame


@dataclass(frozen=True)
class Kpi:
    """A breach rate against its target.

    ``p_value`` is that of the exact binomial test of a rate not above the target.
    """

    segment: str
    target: float
    tickets: int
    breaches: int
    rate: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Hours:
    """The distribution of resolution hours of one priority (or of all tickets).

    ``edges`` has one number more than ``counts``; in hours, evenly spaced on a logarithmic scale.
    ``late`` counts those of each bin that took longer than their own target; ``target`` is the
    median of the targets, or NaN.
    """

    name: str
    edges: Floats
    counts: Floats
    late: Floats
    target: float
    median: float


def find_trend(outcomes: Outcomes, confidence: float) -> Trend | None:
    """Follow the breach rate over time, by the longest unit that gives enough points.

    Returns
    -------
    Trend or None
        None where fewer than six hours of tickets have a creation time.
    """
    known = ~np.isnat(outcomes.created)
    if not known.any():
        return None
    created = pd.Series(outcomes.created[known])
    span = (created.max() - created.min()).total_seconds() / 3600
    fitting = [each for each in _PERIODS if _FEWEST <= span / each[2] <= _MOST]
    if not fitting:
        fitting = [_PERIODS[0]] if span > _MOST * _PERIODS[0][2] else []
    if not fitting:
        return None
    code, unit, _ = fitting[0]
    start = created.dt.floor("h") if code == "h" else created.dt.to_period(code).dt.start_time
    frame = pd.DataFrame(
        {"start": start, "breach": outcomes.breach[known], "loss": outcomes.loss[known]}
    )
    by = frame.groupby("start")
    table = pd.DataFrame({"tickets": by.size(), "breaches": by["breach"].sum()})
    table["breach_rate"] = table["breaches"] / table["tickets"]
    low, high = wilson_interval(table["breaches"], table["tickets"], confidence)
    table["rate_low"], table["rate_high"] = low, high
    table["total_cost"] = by["loss"].sum()
    return Trend(unit, table.reset_index())


def measure_kpi(
    field: Field, level: str, outcomes: Outcomes, target: float, confidence: float
) -> Kpi | None:
    """Hold the breach rate of one level against a target; None where it has no ticket."""
    if level not in field.levels:
        return None
    mine = field.codes == field.levels.index(level)
    tickets, breaches = int(mine.sum()), int(outcomes.breach[mine].sum())
    if not tickets:
        return None
    low, high = wilson_interval([breaches], [tickets], confidence)
    test = stats.binomtest(breaches, tickets, target, alternative="greater")
    rate = breaches / tickets
    return Kpi(
        level, target, tickets, breaches, rate, float(low[0]), float(high[0]), float(test.pvalue)
    )


def spread_hours(field: Field | None, outcomes: Outcomes) -> list[Hours]:
    """Spread resolution hours over bins, by the levels of a field; all share their bins."""
    resolved = outcomes.hours > 0
    if not resolved.any():
        return []
    hours = outcomes.hours[resolved]
    low, high = np.quantile(hours, [0.001, 0.999])
    # between two bins a factor of at least 1.05, so that equal hours make no picture of rounding
    high = max(high, low * 1.05**_BINS)
    edges = np.geomspace(low, high, _BINS + 1)
    codes = np.zeros(len(hours), np.int64) if field is None else field.codes[resolved]
    names = ("All tickets",) if field is None else field.levels
    spread = []
    for code, name in enumerate(names):
        mine = codes == code
        if not mine.any():
            continue
        target = outcomes.target[resolved][mine]
        inside = np.clip(hours[mine], edges[0], edges[-1])
        counts, _ = np.histogram(inside, edges)
        late, _ = np.histogram(inside[hours[mine] > target], edges)
        spread.append(
            Hours(
                name,
                edges,
                counts.astype(float),
                late.astype(float),
                float(np.nanmedian(target)) if not np.isnan(target).all() else float("nan"),
                float(np.median(hours[mine])),
            )
        )
    return spread
