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
    columns = [each.dropna().to_numpy(dtype="datetime64[us]") for each in dates.values()]
    moments = np.sort(np.concatenate([*columns, np.empty(0, dtype="datetime64[us]")]))
    if not len(moments):
        return pd.NaT  # type: ignore[return-value]
    gaps = np.diff(moments)
    first = max(len(moments) - max(_FEW, len(moments) // _SHARE), 2)
    for place in range(first, len(moments)):  # the first date that would be ahead
        gap = gaps[place - 1]
        rest = gaps[(place - 1) // 2 : place - 1]
        if gap > _FAR and (not len(rest) or gap > _TIMES * rest.max()):
            return pd.Timestamp(moments[place - 1])
    return pd.Timestamp(moments[-1])


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
