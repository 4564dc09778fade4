"""Breach rates over time, the distribution of resolution hours, and the KPI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.analysis.fields import Field, Outcomes
from slarisk.arrays import Floats
from slarisk.stats.rates import wilson_interval

_PERIODS = (("M", "month", 24 * 30.4), ("W", "week", 24 * 7), ("D", "day", 24), ("h", "hour", 1))
_FEWEST, _MOST = 6, 60  # points of a readable line
_BINS = 30


@dataclass(frozen=True, eq=False)
class Trend:
    """Breaches by the time of creation.

    ``table`` has one row per ``unit`` (month, week, day or hour) with tickets: ``start``,
    ``tickets``, ``breaches``, ``breach_rate``, ``rate_low``, ``rate_high``, ``total_cost``,
    ``still_open`` and ``settled``: whether the rate stays in its interval whatever becomes of the
    tickets that are still open. Where it does not, the tickets with a label are the quick ones.
    """

    unit: str
    table: pd.DataFrame

    @property
    def settled(self) -> pd.DataFrame:
        """The rows whose rate can be relied on."""
        return self.table[self.table["settled"]]


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
class HoursHistogram:
    """The distribution of resolution hours of one priority (or of all tickets).

    ``edges`` of the bins are hours, one more than ``counts``, evenly spaced on a logarithmic scale.
    ``late`` counts the tickets of each bin that took longer than their own target; ``target`` is
    the median of the targets, or NaN.
    """

    name: str
    edges: Floats
    counts: Floats
    late: Floats
    target: float
    median: float


def find_trend(
    outcomes: Outcomes, confidence: float, still_open: pd.Series | None = None
) -> Trend | None:
    """Calculate the breach rate over time, by the longest unit that gives enough points.

    Parameters
    ----------
    outcomes : Outcomes
    confidence : float
    still_open : Series of datetimes, optional
        When the tickets without a resolution and without a label were created.

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
    units = [each for each in _PERIODS if _FEWEST <= span / each[2] <= _MOST]
    if not units and span <= _MOST * _PERIODS[0][2]:
        return None
    code, unit, _ = (units or _PERIODS)[0]
    start = _find_starts(created, code)
    frame = pd.DataFrame(
        {"start": start, "breach": outcomes.breach[known], "loss": outcomes.loss[known]}
    )
    by = frame.groupby("start")
    table = pd.DataFrame({"tickets": by.size(), "breaches": by["breach"].sum()})
    table["breach_rate"] = table["breaches"] / table["tickets"]
    low, high = wilson_interval(table["breaches"], table["tickets"], confidence)
    table["rate_low"], table["rate_high"] = low, high
    table["total_cost"] = by["loss"].sum()
    waiting = pd.Series([], dtype=created.dtype) if still_open is None else still_open.dropna()
    counts = _find_starts(waiting, code).value_counts()
    table["still_open"] = counts.reindex(table.index, fill_value=0)
    most = (table["breaches"] + table["still_open"]) / (table["tickets"] + table["still_open"])
    table["settled"] = most <= table["rate_high"]
    return Trend(unit, table.reset_index())


def _find_starts(moments: pd.Series, code: str) -> pd.Series:
    starts: pd.Series = (
        moments.dt.floor("h") if code == "h" else moments.dt.to_period(code).dt.start_time
    )
    return starts


def measure_kpi(
    field: Field, level: str, outcomes: Outcomes, target: float, confidence: float
) -> Kpi | None:
    """Compare the breach rate of one level with a target; None where it has no ticket."""
    inside = np.asarray(field.levels)[field.codes] == level
    tickets, breaches = int(inside.sum()), int(outcomes.breach[inside].sum())
    if not tickets:
        return None
    low, high = wilson_interval([breaches], [tickets], confidence)
    test = stats.binomtest(breaches, tickets, target, alternative="greater")
    rate = breaches / tickets
    return Kpi(
        level, target, tickets, breaches, rate, float(low[0]), float(high[0]), float(test.pvalue)
    )


def count_hours(field: Field | None, outcomes: Outcomes) -> list[HoursHistogram]:
    """Count resolution hours by level of a field, in the same bins for all levels."""
    resolved = outcomes.hours > 0
    if not resolved.any():
        return []
    hours = outcomes.hours[resolved]
    low, high = np.quantile(hours, [0.001, 0.999])
    # bins grow by a factor of at least 1.05, so that nearly equal hours do not fill many bins
    high = max(high, low * 1.05**_BINS)
    edges = np.geomspace(low, high, _BINS + 1)
    codes = np.zeros(len(hours), np.int64) if field is None else field.codes[resolved]
    names = ("All tickets",) if field is None else field.levels
    histograms = []
    for code, name in enumerate(names):
        inside = codes == code
        if not inside.any():
            continue
        target = outcomes.target[resolved][inside]
        clipped = np.clip(hours[inside], edges[0], edges[-1])
        counts, _ = np.histogram(clipped, edges)
        late, _ = np.histogram(clipped[hours[inside] > target], edges)
        histograms.append(
            HoursHistogram(
                name,
                edges,
                counts.astype(float),
                late.astype(float),
                float(np.nanmedian(target)) if not np.isnan(target).all() else float("nan"),
                float(np.median(hours[inside])),
            )
        )
    return histograms
