"""Whether labels came in as usual while the training tickets were labelled."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import poisson

from slarisk.checks.check import CheckResult, passed, warned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.arrays import Bools
    from slarisk.checks.context import CheckContext

_FEWEST = 5  # labels on a usual day of a weekday, for it to be missed
_SILENT = 0.2  # of a usual day's labels: at most so many come in on a day of an outage
_BUSY = 0.5  # of a usual day's new tickets: a day with fewer is a holiday, and no outage
_USUAL = 0.75  # quantile of a weekday's counts; an outage of some weeks leaves it as it is
_CATCH_UP = 1.5  # of a usual day's new tickets: more labels than that are those of other days
_LUCK = 1e-6  # chance of so few labels, if three quarters of the usual number are expected
_DAYS = 3  # working days in a row without labels that are more than a public holiday
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Outage:
    """A time in which tickets were created and hardly any were labelled.

    Attributes
    ----------
    begin, end : Timestamp
        The first day, and the day after the last.
    labels, usual : int
        Labels that came in, and that would have come in on as many usual days.
    created_from, created_to : Timestamp
        Creation of the tickets whose labels were due in that time, or came late after it.
    late, late_breached : int
        Of these tickets, those labelled after it, and how many of them breached.
    """

    begin: pd.Timestamp
    end: pd.Timestamp
    labels: int
    usual: int
    created_from: pd.Timestamp
    created_to: pd.Timestamp
    late: int
    late_breached: int

    @property
    def quarantine(self) -> str:
        """The override that leaves its tickets out."""
        period = f"[{self.created_from:%Y-%m-%d}, {self.created_to:%Y-%m-%d}]"
        why = f"no labels from {self.begin:%Y-%m-%d} to {self.end - _DAY:%Y-%m-%d}"
        return f"{{created: {period}, why: {why}}}"


def check_label_health(context: CheckContext) -> CheckResult:
    """SR023: labels came in on the days of the training period as they usually do.

    Where labelling stopped for days and then caught up, labels that depend on when they were set
    are wrong: a ticket resolved in time is closed late. Only what was known when the test period
    began is looked at.
    """
    tickets, test = context.tickets, context.test["created_at"]
    if context.imputed or test.isna().all():
        return passed("There are no observed creation times to go by.")
    frame = tickets.frame.drop(index=tickets.frame.index[list(tickets.assumed)])
    outages = find_outages(frame, test.min().floor("D"))
    if not outages:
        return passed("On no three working days in a row did labels fail to come in.")
    parts = []
    for outage in outages:
        text = (
            f"From {outage.begin:%Y-%m-%d} to {outage.end - _DAY:%Y-%m-%d} {outage.labels:,} "
            f"labels came in, where {outage.usual:,} are usual"
        )
        if outage.late:
            text += (
                f"; of {outage.late:,} tickets of that time that were labelled after it, "
                f"{outage.late_breached / outage.late:.0%} breached"
            )
        parts.append(text)
    pasted = ", ".join(outage.quarantine for outage in outages)
    return warned(
        f"{'. '.join(parts)}. Labels that depend on when they were set are wrong then; leave these "
        f"tickets out: label.quarantine: [{pasted}]"
    )


def find_outages(tickets: pd.DataFrame, until: pd.Timestamp) -> list[Outage]:
    """Find the times in which tickets were created and hardly any were labelled.

    A day is compared with the upper quartile of its weekday. Days on which the first tickets of the
    export could not have a label yet are left out.

    Parameters
    ----------
    tickets : DataFrame
        With ``created_at``, ``label_known_at`` and ``breach``.
    until : Timestamp
        Midnight; nothing that was known only later is used.
    """
    known = tickets[tickets["label_known_at"] < until]
    if known.empty:
        return []
    waits = known["label_known_at"] - known["created_at"]
    first_day = (known["created_at"].min() + waits.quantile(0.25)).ceil("D")
    days = pd.date_range(first_day, until - _DAY, freq="D")
    labels = _count(known["label_known_at"], days)
    created = _count(tickets["created_at"], days)
    usual_created = created.groupby(days.day_of_week).transform("quantile", _USUAL)
    capped = labels.clip(upper=_CATCH_UP * usual_created)
    usual = capped.groupby(days.day_of_week).transform("quantile", _USUAL)
    watched = ((usual >= _FEWEST) & (created >= _BUSY * usual_created)).to_numpy()
    silent = (labels <= _SILENT * usual).to_numpy()
    outages = []
    for first, last in _find_runs(silent, watched):
        came_in = int(labels.iloc[first : last + 1].sum())
        expected = float(usual.iloc[first : last + 1].sum())
        if poisson.cdf(came_in, _USUAL * expected) > _LUCK:
            continue
        begin, end = days[first], days[last] + _DAY
        before = waits[known["label_known_at"] < begin]
        due = (begin - pd.Timedelta(before.median())).floor("D")
        came = (known["created_at"] >= due) & (known["created_at"] < end)
        late = known[came & (known["label_known_at"] >= end)]
        outages.append(
            Outage(
                begin,
                end,
                came_in,
                round(expected),
                due,
                end,
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
