"""The changes between two periods: of the breach rate, its mix, and each segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.analysis.breakdowns import Breakdown
from slarisk.arrays import Floats
from slarisk.stats.independence import contingency_test
from slarisk.stats.rates import difference_interval

SEGMENT_COLUMNS = ("fields", "segment", "tickets", "breaches", "total_cost")
_JOINT = " | "


@dataclass(frozen=True)
class Period:
    """The totals of a period's tickets; ``policy`` is the fingerprint of targets and prices."""

    run_id: str
    first: str
    last: str
    tickets: int
    breaches: int
    total_cost: float
    policy: str

    @property
    def rate(self) -> float:
        """The breach rate."""
        return self.breaches / self.tickets


@dataclass(frozen=True, eq=False)
class EarlierAnalysis:
    """The totals of an earlier analysis, and its segments (:func:`tabulate_segments`)."""

    period: Period
    segments: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Changes:
    """One period against an earlier one.

    Attributes
    ----------
    earlier, now : Period
    rate_low, rate_high : float
        The interval of the change of the breach rate.
    mix, own : dict of str to float
        By field: the part of the change of the rate that comes from changed shares of tickets, and
        the part that comes from changed rates at the same shares. They add up to the change.
    table : DataFrame
        One row per segment of a single field that both periods have: ``field``, ``segment``,
        ``tickets_before``, ``tickets``, ``rate_before``, ``rate``, ``change`` with ``change_low``
        and ``change_high``, ``cost_change`` (dollars per ticket), ``q_value``. The clearest and
        largest changes come first.
    """

    earlier: Period
    now: Period
    rate_low: float
    rate_high: float
    mix: dict[str, float]
    own: dict[str, float]
    table: pd.DataFrame

    @property
    def same_policy(self) -> bool:
        """Whether both periods have the same targets and prices."""
        return self.earlier.policy == self.now.policy


def tabulate_segments(breakdowns: Mapping[tuple[str, ...], Breakdown]) -> pd.DataFrame:
    """List the segments of all breakdowns in one table, which a later analysis reads."""
    parts = []
    for fields, breakdown in breakdowns.items():
        names = breakdown.table[[*fields]].agg(_JOINT.join, axis="columns")
        part = breakdown.table[["tickets", "breaches", "total_cost"]]
        parts.append(part.assign(fields=_JOINT.join(fields), segment=names))
    empty = pd.DataFrame(columns=[*SEGMENT_COLUMNS], dtype="str")
    return pd.concat(parts or [empty], ignore_index=True)[[*SEGMENT_COLUMNS]]


def compare_periods(
    earlier: EarlierAnalysis, now: Period, segments: pd.DataFrame, confidence: float, fewest: int
) -> Changes:
    """Compare two periods, overall and segment by segment.

    Parameters
    ----------
    earlier : EarlierAnalysis
    now : Period
    segments : DataFrame
        Of ``now`` (:func:`tabulate_segments`), with every segment of a field, however small.
    confidence : float
        Of the intervals; a change is called significant below a corrected p-value of 1 minus this.
    fewest : int
        Tickets a segment must have in both periods to be compared.

    References
    ----------
    E. M. Kitagawa (1955), "Components of a difference between two rates", Journal of the American
    Statistical Association 50.
    """
    before, old = earlier.segments, earlier.period
    counts, trials = (old.breaches, now.breaches), (old.tickets, now.tickets)
    low, high = map(float, difference_interval(counts, trials, confidence))
    both = before.merge(segments, on=["fields", "segment"], how="outer", suffixes=("_0", "_1"))
    both = both[~both["fields"].str.contains(_JOINT, regex=False)]
    shared = set(before["fields"]) & set(segments["fields"])
    both = both[both["fields"].isin(shared)].fillna(0)
    mix, own = {}, {}
    for field, rows in both.groupby("fields", sort=False):
        mix[str(field)], own[str(field)] = split_change(
            *rows[["tickets_0", "breaches_0", "tickets_1", "breaches_1"]].to_numpy(dtype=float).T
        )
    large = both[both[["tickets_0", "tickets_1"]].min(axis="columns") >= fewest]
    return Changes(old, now, low, high, mix, own, _tabulate(large, confidence))


def split_change(
    tickets_0: Floats, breaches_0: Floats, tickets_1: Floats, breaches_1: Floats
) -> tuple[float, float]:
    """Split the change of a rate into the parts due to changed shares and to changed rates.

    A level without tickets in one period takes its rate of the other.

    Examples
    --------
    >>> before = np.array([50, 50]), np.array([40, 5])
    >>> mix, own = split_change(*before, np.array([80, 20]), np.array([64, 2]))
    >>> round(mix, 3), round(own, 3)
    (0.21, 0.0)
    """
    share_0, share_1 = tickets_0 / tickets_0.sum(), tickets_1 / tickets_1.sum()
    rate_0, rate_1 = _divide(breaches_0, tickets_0), _divide(breaches_1, tickets_1)
    rate_0 = np.where(np.isnan(rate_0), rate_1, rate_0)
    rate_1 = np.where(np.isnan(rate_1), rate_0, rate_1)
    rate_0, rate_1 = np.nan_to_num(rate_0), np.nan_to_num(rate_1)  # of a level in neither period
    mix = float((share_1 - share_0) @ ((rate_0 + rate_1) / 2))
    return mix, float((rate_1 - rate_0) @ ((share_0 + share_1) / 2))


def _divide(breaches: Floats, tickets: Floats) -> Floats:
    out = np.full(len(tickets), np.nan)
    rate: Floats = np.divide(breaches, tickets, out=out, where=tickets > 0)
    return rate


def _tabulate(both: pd.DataFrame, confidence: float) -> pd.DataFrame:
    if both.empty:
        return pd.DataFrame()
    trials, counts, cost = (
        both[[f"{name}_0", f"{name}_1"]].to_numpy(dtype=float).T
        for name in ("tickets", "breaches", "total_cost")
    )
    rates = counts / trials
    low, high = difference_interval(counts, trials, confidence)
    rng = np.random.default_rng(0)
    cells = np.stack([trials - counts, counts], axis=-1).swapaxes(0, 1)
    p_values = [
        contingency_test(each, rng).p_value if each.any(axis=0).all() else 1.0 for each in cells
    ]
    table = pd.DataFrame(
        {
            "field": both["fields"].to_numpy(),
            "segment": both["segment"].to_numpy(),
            "tickets_before": trials[0].astype(np.int64),
            "tickets": trials[1].astype(np.int64),
            "rate_before": rates[0],
            "rate": rates[1],
            "change": rates[1] - rates[0],
            "change_low": low,
            "change_high": high,
            "cost_change": cost[1] / trials[1] - cost[0] / trials[0],
            "q_value": stats.false_discovery_control(p_values),
        }
    )
    significant = table["q_value"] < 1 - confidence
    order = np.lexsort((-table["change"].abs(), ~significant))
    return table.iloc[order].reset_index(drop=True)
