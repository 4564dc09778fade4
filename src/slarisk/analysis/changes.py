"""What changed between two periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.analysis.breakdowns import Breakdown
from slarisk.analysis.drivers import measure_independence
from slarisk.arrays import Floats
from slarisk.stats.rates import difference_interval

SEGMENT_COLUMNS = ("fields", "segment", "tickets", "breaches", "total_cost")
_JOINT = " | "


@dataclass(frozen=True)
class Period:
    """What an analysis found in all: of this period, or of the earlier one.

    ``policy`` fingerprints what labels and prices a ticket.
    """

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
class Changes:
    """One period against an earlier one.

    Attributes
    ----------
    earlier, now : Period
    rate_low, rate_high : float
        The interval of the change of the breach rate.
    mix, own : dict of str to float
        By field: the part of the change of the rate that comes from other shares of tickets, and
        the part that comes from other rates at the same shares. They add up to the change.
    table : DataFrame
        One row per segment of a single field that both periods have: ``field``, ``segment``,
        ``tickets_before``, ``tickets``, ``rate_before``, ``rate``, ``change`` with ``change_low``
        and ``change_high``, ``cost_change`` (dollars per ticket), ``q_value``. The clearest and
        largest changes come first.
    same_policy : bool
        Whether both were labelled and priced alike.
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
        """Whether both periods were labelled and priced alike."""
        return self.earlier.policy == self.now.policy


def list_segments(breakdowns: Mapping[tuple[str, ...], Breakdown]) -> pd.DataFrame:
    """List the segments of all breakdowns in one table, as a later analysis will read it."""
    parts = [pd.DataFrame(columns=[*SEGMENT_COLUMNS], dtype="str")]
    for fields, breakdown in breakdowns.items():
        names = breakdown.table[[*fields]].agg(_JOINT.join, axis="columns")
        part = breakdown.table[["tickets", "breaches", "total_cost"]]
        parts.append(part.assign(fields=_JOINT.join(fields), segment=names))
    table = pd.concat(parts[1:] or parts, ignore_index=True)
    return table[[*SEGMENT_COLUMNS]]


def compare_periods(
    earlier: Period,
    now: Period,
    before: pd.DataFrame,
    after: pd.DataFrame,
    confidence: float,
    fewest: int,
) -> Changes:
    """Compare two periods, in all and segment by segment.

    Parameters
    ----------
    earlier, now : Period
    before, after : DataFrame
        Segments of both (:func:`list_segments`), with every segment of a field, however small.
    confidence : float
        Of the intervals; a change is called significant below a corrected p-value of 1 minus this.
    fewest : int
        Tickets a segment must have in both periods to be compared.

    References
    ----------
    E. M. Kitagawa (1955), "Components of a difference between two rates", Journal of the American
    Statistical Association 50.
    """
    low, high = difference_interval(
        (earlier.breaches, now.breaches), (earlier.tickets, now.tickets), confidence
    )
    both = before.merge(after, on=["fields", "segment"], how="outer", suffixes=("_0", "_1"))
    both = both[~both["fields"].str.contains(_JOINT, regex=False)]
    shared = set(before["fields"]) & set(after["fields"])
    both = both[both["fields"].isin(shared)].fillna(0)
    mix, own = {}, {}
    for field, rows in both.groupby("fields", sort=False):
        mix[str(field)], own[str(field)] = split_change(
            rows["tickets_0"].to_numpy(dtype=float),
            rows["breaches_0"].to_numpy(dtype=float),
            rows["tickets_1"].to_numpy(dtype=float),
            rows["breaches_1"].to_numpy(dtype=float),
        )
    large = both[both[["tickets_0", "tickets_1"]].min(axis="columns") >= fewest]
    return Changes(earlier, now, low, high, mix, own, _tabulate(large, confidence))


def split_change(
    tickets_0: Floats, breaches_0: Floats, tickets_1: Floats, breaches_1: Floats
) -> tuple[float, float]:
    """Split the change of a rate into what other shares and what other rates bring.

    A level without tickets in one period has its rate of the other.

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
    rng = np.random.default_rng(0)
    rows = []
    for row in both.to_dict("records"):
        trials = int(row["tickets_0"]), int(row["tickets_1"])
        counts = int(row["breaches_0"]), int(row["breaches_1"])
        low, high = difference_interval(counts, trials, confidence)
        cells = np.array([[n - k, k] for n, k in zip(trials, counts, strict=True)], np.float64)
        differ = cells.any(axis=0).all()
        rows.append(
            {
                "field": row["fields"],
                "segment": row["segment"],
                "tickets_before": trials[0],
                "tickets": trials[1],
                "rate_before": counts[0] / trials[0],
                "rate": counts[1] / trials[1],
                "change": counts[1] / trials[1] - counts[0] / trials[0],
                "change_low": low,
                "change_high": high,
                "cost_change": row["total_cost_1"] / trials[1] - row["total_cost_0"] / trials[0],
                "q_value": measure_independence(cells, rng).p_value if differ else 1.0,
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    table["q_value"] = stats.false_discovery_control(table["q_value"])
    settled = table["q_value"] < 1 - confidence
    order = np.lexsort((-table["change"].abs(), ~settled))
    return table.iloc[order].reset_index(drop=True)
