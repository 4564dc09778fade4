"""When an export was taken: the latest time in it, unless a mistyped one lies far ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.exports.rows import locate_row
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slarisk.config import DataPolicy

_FAR = pd.Timedelta(days=90)  # a smaller gap may be a quiet month
_TIMES = 10  # a gap so many times the widest among the dates before it is none of theirs
_SHARE = 100  # at most a hundredth of the dates are taken for mistakes, and
_FEW = 2  # this many of a small export


def find_latest(dates: Mapping[str, pd.Series]) -> pd.Timestamp:
    """Find the latest of some dates, those aside that lie far ahead of all others.

    The last few dates are ahead if a gap of more than 90 days parts them from the rest, ten times
    as wide as any gap in the later half of the rest. Nothing depends on today's date, so that a
    run can be repeated.

    Examples
    --------
    >>> days = pd.Series(pd.to_datetime(["2026-03-02", "2026-03-03", "2026-03-05", "2062-03-04"]))
    >>> find_latest({"resolved_at": days})
    Timestamp('2026-03-05 00:00:00')
    """
    days = DaysOfDates()
    days.add(dates)
    return days.find_latest()


class DaysOfDates:
    """The days of any number of dates, from which the latest is found in little memory.

    Of each day the first and the last date are kept, and how many there are: a gap that counts is
    far longer than a day.
    """

    def __init__(self) -> None:
        self._days = pd.DataFrame({"count": [], "first": [], "last": []})

    def add(self, dates: Mapping[str, pd.Series]) -> None:
        """Add some dates, by field."""
        columns = [each.dropna().to_numpy(dtype="datetime64[us]") for each in dates.values()]
        moments = pd.Series(np.concatenate([*columns, np.empty(0, dtype="datetime64[us]")]))
        day = moments.to_numpy().astype("datetime64[D]").astype(np.int64)
        self.merge(moments.groupby(day).agg(["count", "min", "max"]).set_axis(
            ["count", "first", "last"], axis="columns"))  # fmt: skip

    def merge(self, days: pd.DataFrame) -> None:
        """Add days: ``count``, ``first`` and ``last``, by the number of the day."""
        every = pd.concat([each for each in (self._days, days) if len(each)] or [days])
        grouped = every.groupby(level=0)
        self._days = grouped.agg({"count": "sum", "first": "min", "last": "max"})

    @property
    def table(self) -> pd.DataFrame:
        """The days, for :meth:`merge`."""
        return self._days

    def find_latest(self) -> pd.Timestamp:
        """Find the latest date as :func:`find_latest` does; NaT if there is none."""
        if not len(self._days):
            return pd.NaT  # type: ignore[return-value]
        first, last = (
            self._days[name].to_numpy(dtype="datetime64[us]") for name in ("first", "last")
        )
        ends = np.cumsum(self._days["count"].to_numpy(dtype=np.int64))
        starts, gaps = ends[:-1], first[1:] - last[:-1]  # of each day but the first
        least = max(ends[-1] - max(_FEW, ends[-1] // _SHARE), 2)
        for place, gap in zip(starts, gaps, strict=True):  # the first date that would be ahead
            rest = gaps[(starts - 1 >= (place - 1) // 2) & (starts < place)]
            if place >= least and gap > _FAR and (not len(rest) or gap > _TIMES * rest.max()):
                return pd.Timestamp(last[np.searchsorted(ends, place)])
        return pd.Timestamp(last[-1])


def list_dates_ahead(
    tickets: pd.DataFrame, dates: Mapping[str, pd.Series], observed: pd.Timestamp, data: DataPolicy
) -> list[str]:
    """Say which dates lie after the moment of observation: how many, and the first with its row."""
    notes = []
    for name, times in dates.items():
        ahead = (times > observed).to_numpy()
        if not ahead.any():
            continue
        row = tickets[ahead].iloc[0]
        shown = show_local(pd.Series([observed, times[ahead].iloc[0]]), data.timezone)
        taken, first = shown.dt.strftime("%Y-%m-%d %H:%M")
        notes.append(
            f"{int(ahead.sum()):,} times in column {data.columns.get(name, name)!r} lie after the "
            f"moment at which the export was taken ({taken}); the first is {first}, "
            f"{locate_row(row)}. If the moment is wrong, "
            "set data.label.observed_at."
        )
    return notes
