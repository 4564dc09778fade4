"""Whether the ends of tickets, on which labels rest, were recorded as usual."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import poisson

from slarisk.checks.check import CheckResult, passed, warned
from slarisk.tickets.contract import get_dates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.arrays import Bools
    from slarisk.checks.context import CheckContext

_FEWEST = 5  # records on a usual day of a weekday, for it to be missed
_SILENT = 0.2  # of a usual day's records: at most so many come in on a day of an outage
_BUSY = 0.5  # of a usual day's new tickets: a day with fewer is a holiday, and no outage
_USUAL = 0.75  # quantile of a weekday's counts; an outage of some weeks leaves it as it is
_CATCH_UP = 1.5  # of a usual day's new tickets: more records than that are those of other days
_LUCK = 1e-6  # chance of so few records, if three quarters of the usual number are expected
_DAYS = 3  # working days in a row without records that are more than a public holiday
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Outage:
    """A time in which tickets were created and the ends of hardly any were recorded.

    Attributes
    ----------
    begin, end : Timestamp
        The first day, and the day after the last.
    records, usual : int
        Ends recorded, and those that would have been on as many usual days.
    created_from : Timestamp
        Tickets created from then to ``end`` had records due in that time, or late after it.
    late, late_breached : int
        Of these tickets, those recorded after it, and how many of them breached.
    """

    begin: pd.Timestamp
    end: pd.Timestamp
    records: int
    usual: int
    created_from: pd.Timestamp
    late: int
    late_breached: int

    @property
    def quarantine(self) -> str:
        """The override that leaves its tickets out."""
        period = f"[{self.created_from:%Y-%m-%d}, {self.end:%Y-%m-%d}]"
        why = f"no ends recorded from {self.begin:%Y-%m-%d} to {self.end - _DAY:%Y-%m-%d}"
        return f"{{created: {period}, why: {why}}}"


def check_label_health(context: CheckContext) -> CheckResult:
    """SR023: ends of tickets were recorded on the days of the training period as they usually are.

    Where recording stopped for days and then caught up, labels that depend on when it was done are
    wrong: a ticket resolved in time is closed late. Only what was known when the test period began
    is looked at.
    """
    tickets, test = context.tickets, context.test["created_at"]
    if context.imputed or test.isna().all():
        return passed("There are no observed creation times to go by.")
    # a breach is known the moment its target passes, but by the end that people record
    record = context.config.data.label.known_at or "resolved_at"
    frame = tickets.frame[["created_at", "breach"]].assign(
        recorded_at=get_dates(tickets.frame, record)
    )
    frame = frame.drop(index=frame.index[list(tickets.assumed)])
    outages = find_outages(frame, test.min().floor("D"))
    if not outages:
        return passed("On no three working days in a row did records of ends fail to come in.")
    parts = []
    for outage in outages:
        text = (
            f"From {outage.begin:%Y-%m-%d} to {outage.end - _DAY:%Y-%m-%d} {outage.records:,} "
            f"ends were recorded, where {outage.usual:,} are usual"
        )
        if outage.late:
            text += (
                f"; of {outage.late:,} tickets of that time that were recorded after it, "
                f"{outage.late_breached / outage.late:.0%} breached"
            )
        parts.append(text)
    pasted = ", ".join(outage.quarantine for outage in outages)
    return warned(
        f"{'. '.join(parts)}. Labels that depend on when they were set are wrong then; leave these "
        f"tickets out: label.quarantine: [{pasted}]"
    )


def find_outages(tickets: pd.DataFrame, until: pd.Timestamp) -> list[Outage]:
    """Find the times in which tickets were created and the ends of hardly any were recorded.

    A day is compared with the upper quartile of its weekday. Days on which the first tickets of the
    export could not have an end yet are left out.

    Parameters
    ----------
    tickets : DataFrame
        With ``created_at``, ``recorded_at`` (of the end on which the label rests, NaT if it has
        none) and ``breach``.
    until : Timestamp
        Midnight; nothing that was recorded only later is used.
    """
    recorded = tickets[tickets["recorded_at"] < until]
    if recorded.empty:
        return []
    waits = recorded["recorded_at"] - recorded["created_at"]
    first_day = (recorded["created_at"].min() + waits.quantile(0.25)).ceil("D")
    days = pd.date_range(first_day, until - _DAY, freq="D")
    records = _count(recorded["recorded_at"], days)
    created = _count(tickets["created_at"], days)
    usual_created = created.groupby(days.day_of_week).transform("quantile", _USUAL)
    capped = records.clip(upper=_CATCH_UP * usual_created)
    usual = capped.groupby(days.day_of_week).transform("quantile", _USUAL)
    watched = ((usual >= _FEWEST) & (created >= _BUSY * usual_created)).to_numpy()
    silent = (records <= _SILENT * usual).to_numpy()
    outages = []
    for first, last in _find_runs(silent, watched):
        came_in = int(records.iloc[first : last + 1].sum())
        expected = float(usual.iloc[first : last + 1].sum())
        if poisson.cdf(came_in, _USUAL * expected) > _LUCK:
            continue
        begin, end = days[first], days[last] + _DAY
        before = waits[recorded["recorded_at"] < begin]
        due = (begin - pd.Timedelta(before.median())).floor("D")
        came = (recorded["created_at"] >= due) & (recorded["created_at"] < end)
        late = recorded[came & (recorded["recorded_at"] >= end)]
        outages.append(
            Outage(
                begin,
                end,
                came_in,
                round(expected),
                due,
                len(late),
                int(late["breach"].sum()),
            )
        )
    return outages


def _count(moments: pd.Series, days: pd.DatetimeIndex) -> pd.Series:
    counted: pd.Series = moments.dt.floor("D").value_counts().reindex(days, fill_value=0)
    return counted


def _find_runs(silent: Bools, watched: Bools) -> Iterator[tuple[int, int]]:
    """Find first and last day of each silent run, which days that are not watched do not end."""
    places = np.flatnonzero(watched)
    nexts = np.append(places[1:], len(watched))
    for is_silent, run in groupby(range(len(places)), key=lambda number: silent[places[number]]):
        members = list(run)
        if is_silent and len(members) >= _DAYS:
            yield places[members[0]], nexts[members[-1]] - 1
