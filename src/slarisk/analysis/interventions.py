"""Measures on single segments, ranked by savings per effort, and the best set in a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import optimize, sparse

from slarisk.analysis.fields import NONE, Field, Outcomes, cross_fields
from slarisk.arrays import Codes, Counts, Floats
from slarisk.config import Measures
from slarisk.errors import InputError
from slarisk.stats.rates import MOST_PRICES, priced_interval, student_interval
from slarisk.stats.resampling import draw_weights

MOST_FIELDS, MOST_LEVELS = 4, 60
_BINS = 50  # of prices, where most tickets have a price of their own
_SECONDS = 20.0  # for the solver; the report states the bound that is left


@dataclass(frozen=True, eq=False)
class Ranked:
    """All single-segment measures, those that save most per point of effort first.

    Attributes
    ----------
    table : DataFrame
        ``segment``, ``tickets``, ``breaches``, ``effort`` (points), ``saved`` (dollars) with
        ``saved_low`` and ``saved_high``, ``per_point`` (dollars), ``rank_low`` and ``rank_high``
        (the bootstrap interval of the rank), and ``top_share`` (share of draws in which the measure
        came first).
    optimism : float
        The share by which the first measure's saving per point is overstated by selecting the
        highest.
    fields : tuple of str
        The fields whose values, alone and in pairs, are the segments.
    """

    table: pd.DataFrame
    optimism: float
    fields: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class BestSet:
    """The measures that together save most within a budget of effort.

    A ticket in several of them counts once. ``bound`` is an upper bound for all sets within the
    budget (dollars): where it equals ``saved``, the set is optimal.
    """

    table: pd.DataFrame
    budget: float
    effort: float
    saved: float
    bound: float

    @property
    def proven(self) -> bool:
        """Whether the set is optimal, up to rounding."""
        return self.bound <= self.saved * (1 + 1e-6)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Counts of the tickets with equal fields, price and outcome.

    ``loss`` is the mean of the cell's tickets and ``price`` the code of its price among ``prices``;
    where there are too many prices, the codes are of bins, and ``prices`` is None. ``members`` has
    a row per measure and a column per cell.
    """

    tickets: Counts
    breaches: Floats
    loss: Floats
    price: Codes
    prices: Floats | None
    members: sparse.csr_array
    names: list[str]


def validate_measures(measures: Measures) -> None:
    """Raise InputError if measures take no effort: savings per effort would be infinite."""
    if measures.setup_effort + measures.reach_effort <= 0:
        raise InputError("measures.setup_effort and reach_effort: one must be above 0.")


def rank_interventions(
    fields: Sequence[Field],
    outcomes: Outcomes,
    measures: Measures,
    confidence: float,
    draws: int,
    fewest: int,
    seed: int,
) -> tuple[Ranked, BestSet] | None:
    """Rank the measures on all segments of one or two fields, and find the best set.

    A measure prevents ``measures.reduction`` of the breaches of its segment, for ``setup_effort``
    points and the segment's share of ``reach_effort``, the effort of reaching all tickets.

    Parameters
    ----------
    fields : sequence of Field
    outcomes : Outcomes
        Of the same tickets.
    measures : Measures
    confidence : float
        Of the intervals.
    draws : int
        Bootstrap resamples of the tickets.
    fewest : int
        Tickets that a segment must have.
    seed : int

    Returns
    -------
    tuple or None
        None where no large enough segment has a breach with a cost.
    """
    cells = _make_cells(fields, outcomes, fewest)
    if cells is None:
        return None
    members, share = cells.members, measures.reduction
    total = len(outcomes.breach)
    effort = _effort(members @ cells.tickets / total, measures)
    saved = share * (members @ (cells.loss * cells.tickets))
    ratio = saved / effort
    order = np.argsort(-ratio, kind="stable")
    drawn = _resample(cells, measures, draws, seed)
    tail = (1 - confidence) / 2
    ranks = np.argsort(np.argsort(-drawn, axis=1, kind="stable"), axis=1) + 1
    rank_low, rank_high = np.quantile(ranks, [tail, 1 - tail], axis=0, method="nearest")
    first = drawn.argmax(axis=1)
    optimism = float(np.mean(drawn.max(axis=1) - ratio[first])) / float(ratio.max())
    lost_low, lost_high = _find_interval(cells, confidence)
    table = pd.DataFrame(
        {
            "segment": cells.names,
            "tickets": members @ cells.tickets,
            "breaches": (members @ cells.breaches).astype(np.int64),
            "effort": effort,
            "saved": saved,
            "saved_low": share * lost_low,
            "saved_high": share * lost_high,
            "per_point": ratio,
            "rank_low": rank_low,
            "rank_high": rank_high,
            "top_share": np.bincount(first, minlength=len(ratio)) / draws,
        }
    )
    names = tuple(field.name for field in fields)
    ranked = Ranked(table.iloc[order].reset_index(drop=True), max(optimism, 0.0), names)
    return ranked, _find_best_set(cells, table, measures)


def _make_cells(fields: Sequence[Field], outcomes: Outcomes, fewest: int) -> _Cells | None:
    """Build the cells, and the segments of enough tickets that have a loss."""
    if not fields:
        return None
    price, found = pd.factorize(outcomes.price, sort=True)
    prices: Floats | None = np.asarray(found, dtype=np.float64)
    if len(found) > MOST_PRICES:
        price, prices = pd.qcut(outcomes.price, _BINS, labels=False, duplicates="drop"), None
    levels = tuple(map(str, range(int(price.max()) + 1)))
    priced = Field("price", price.astype(np.int64), levels)
    labelled = Field("breach", outcomes.breach.astype(np.int64), ("met", "breached"))
    codes, _ = cross_fields([*fields, priced, labelled])
    _, first, tickets = np.unique(codes, return_index=True, return_counts=True)
    breaches: Floats = (tickets * outcomes.breach[first]).astype(np.float64)
    loss = np.bincount(codes, weights=outcomes.loss).astype(np.float64) / tickets
    rows: list[Codes] = []
    names = []
    for group in [*((field,) for field in fields), *combinations(fields, 2)]:
        of_cell, segments = cross_fields([Field(f.name, f.codes[first], f.levels) for f in group])
        size = np.bincount(of_cell, weights=tickets)
        lost = np.bincount(of_cell, weights=tickets * loss)
        for code in np.flatnonzero((size >= fewest) & (lost > 0)):
            if NONE in segments[code]:
                continue  # a missing value is no segment to act on
            rows.append(np.flatnonzero(of_cell == code))
            parts = zip(group, segments[code], strict=True)
            names.append(", ".join(f"{field.label} {level}" for field, level in parts))
    if not rows:
        return None
    indices = np.concatenate(rows)
    ends = np.cumsum([0, *(len(row) for row in rows)])
    members = sparse.csr_array(
        (np.ones(len(indices)), indices, ends), shape=(len(rows), len(tickets))
    )
    tickets = tickets.astype(np.int64)
    return _Cells(tickets, breaches, loss, price[first], prices, members, names)


def _effort(share: Floats, measures: Measures) -> Floats:
    return measures.setup_effort + measures.reach_effort * share


def _resample(cells: _Cells, measures: Measures, draws: int, seed: int) -> Floats:
    """Resample the dollars saved per point: an array of shape (draws, measures)."""
    rng = np.random.default_rng(seed)
    ratio = []
    for weights in draw_weights(cells.tickets, draws, rng):
        saved = measures.reduction * (cells.members @ (weights * cells.loss).T).T
        share = (cells.members @ weights.T).T / cells.tickets.sum()
        ratio.append(saved / _effort(share, measures))
    return np.concatenate(ratio)


def _find_interval(cells: _Cells, confidence: float) -> tuple[Floats, Floats]:
    """Find the interval of each segment's loss, computed as that of a scenario."""
    members, lost = cells.members, cells.loss * cells.tickets
    if cells.prices is None:
        return student_interval(
            members @ cells.tickets, members @ lost, members @ (cells.loss * lost), confidence
        )
    priced = sparse.csr_array(cells.price[:, None] == np.arange(len(cells.prices)))
    tickets = (members @ priced.multiply(cells.tickets[:, None])).toarray()
    breaches = (members @ priced.multiply(cells.breaches[:, None])).toarray()
    return priced_interval(tickets, breaches, cells.prices, confidence)


def _find_best_set(cells: _Cells, table: pd.DataFrame, measures: Measures) -> BestSet:
    """Solve the budgeted maximum coverage problem.

    Choose measures x and covered cells y to maximise the loss that is covered, with y at most the
    number of chosen measures that cover the cell, and the effort within the budget.
    """
    effort = table["effort"].to_numpy()
    pays = cells.loss > 0
    members = cells.members[:, np.flatnonzero(pays)]
    lost = measures.reduction * (cells.loss * cells.tickets)[pays]
    # merge the cells that are covered by the same measures
    key = pd.util.hash_array(np.arange(members.shape[0], dtype=np.uint64)).astype(np.float64)
    code, _ = pd.factorize(members.T @ key)
    value = np.bincount(code, weights=lost)
    covered = members[:, np.unique(code, return_index=True)[1]]
    count, places = covered.shape
    limits = optimize.LinearConstraint(
        sparse.vstack(
            [
                sparse.hstack([-covered.T, sparse.eye_array(places)]),
                sparse.hstack([sparse.csr_array(effort[None]), sparse.csr_array((1, places))]),
            ]
        ),
        ub=np.concatenate([np.zeros(places), [measures.budget]]),
    )
    solved = optimize.milp(
        -np.concatenate([np.zeros(count), value]),
        integrality=np.concatenate([np.ones(count), np.zeros(places)]),
        bounds=optimize.Bounds(0, 1),
        constraints=limits,
        options={"time_limit": _SECONDS, "mip_rel_gap": 0.0},
    )
    if solved.x is None:  # out of time before any set was found
        chosen, bound = np.array([], dtype=np.int64), float(value.sum())
    else:
        chosen, bound = np.flatnonzero(solved.x[:count] > 0.5), -float(solved.mip_dual_bound)
    hit = (covered[chosen].sum(axis=0) > 0).astype(float) if len(chosen) else np.zeros(places)
    best = table.iloc[chosen].sort_values("saved", ascending=False)
    columns = ["segment", "tickets", "breaches", "effort", "saved", "per_point"]
    return BestSet(
        best[columns].reset_index(drop=True),
        measures.budget,
        float(effort[chosen].sum()),
        float(hit @ value),
        bound,
    )
