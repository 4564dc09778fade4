"""Where tickets breach: tickets, rates, hours and dollars by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from slarisk.analysis.fields import Field, Outcomes, cross_fields, label_field
from slarisk.stats.rates import wilson_interval

TIMES = " \u00d7 "  # between the names of a combination


@dataclass(frozen=True, eq=False)
class Breakdown:
    """The tickets by one or more fields.

    Attributes
    ----------
    fields : tuple of str
    table : DataFrame
        One row per segment: a column of values for each field, then ``tickets``, ``breaches``,
        ``breach_rate`` with ``rate_low`` and ``rate_high``, ``mean_hours`` and ``median_hours``
        to the resolution (NaN where the data has none), ``total_cost`` and ``average_cost``
        (dollars lost in all, and per ticket). Ordered levels are in their order, other single
        fields by falling breach rate, combinations by falling cost.
    """

    fields: tuple[str, ...]
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """The fields as a heading."""
        first, *others = (label_field(name) for name in self.fields)
        return TIMES.join([first, *(name.lower() for name in others)])

    def at_least(self, fewest: int) -> pd.DataFrame:
        """Keep the segments with at least ``fewest`` tickets."""
        return self.table[self.table["tickets"] >= fewest].reset_index(drop=True)


def break_down(fields: Sequence[Field], outcomes: Outcomes, confidence: float) -> Breakdown:
    """Count the tickets, breaches, hours and dollars of every segment with tickets in it.

    Parameters
    ----------
    fields : sequence of Field
        At least one.
    outcomes : Outcomes
        Of the same tickets.
    confidence : float
        Of the Wilson intervals of the breach rates.
    """
    codes, names = cross_fields(fields)
    tickets = np.bincount(codes)
    breaches = np.bincount(codes, weights=outcomes.breach)
    low, high = wilson_interval(breaches, tickets, confidence)
    hours = pd.Series(outcomes.hours).groupby(codes)
    total = np.bincount(codes, weights=outcomes.loss)
    table = pd.DataFrame(names, columns=[field.name for field in fields], dtype="str")
    table = table.assign(
        tickets=tickets,
        breaches=breaches.astype(np.int64),
        breach_rate=breaches / tickets,
        rate_low=low,
        rate_high=high,
        mean_hours=hours.mean().to_numpy(),
        median_hours=hours.median().to_numpy(),
        total_cost=total,
        average_cost=total / tickets,
    )
    if len(fields) > 1 or not fields[0].natural:
        order = ["total_cost", "breach_rate"] if len(fields) > 1 else ["breach_rate", "total_cost"]
        table = table.sort_values(order, ascending=False, kind="stable")
    return Breakdown(tuple(field.name for field in fields), table.reset_index(drop=True))


def list_breakdowns(categories: Sequence[str], segments: Sequence[str]) -> list[tuple[str, ...]]:
    """List the combinations of fields to break down by.

    Parameters
    ----------
    categories : sequence of str
        Each gets a breakdown of its own; type by priority and priority by channel follow.
    segments : sequence of str
        The fields whose combination is a segment in the data policy.
    """
    pairs = [("ticket_type", "priority"), ("priority", "channel"), tuple(segments)]
    known = {frozenset(pair): pair for pair in pairs[::-1] if {*pair} <= {*categories}}
    crossed = [known[key] for key in dict.fromkeys(map(frozenset, pairs)) if key in known]
    singles = [(name,) for name in dict.fromkeys(categories)]
    return [*singles, *(pair for pair in crossed if len(pair) > 1)]
