"""The pauses that an event log tells of, written down when its events become tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.rows import locate_row, quote_value
from slarisk.times.zones import as_moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from slarisk.config import DataPolicy, Pause

    ReadDates = Callable[[pd.DataFrame, str, DataPolicy], pd.Series]

# Of a ticket from an event log: "begin/end;begin/end", in microseconds since 1970 (UTC). An end is
# missing if the log ends with the pause.
PAUSES = "pauses"


def event_pause_fields(pause: Pause, policy: DataPolicy) -> list[str]:
    """List the fields of each event that say when its ticket is paused; none without a log."""
    if policy.events is None:
        return []
    names = [pause.status, pause.changed_at] if pause.statuses else [pause.begins, pause.ends]
    return [name for name in names if name]


def write_event_pauses(
    events: pd.DataFrame, key: str, pause: Pause, policy: DataPolicy, read: ReadDates
) -> pd.Series:
    """Write the pauses of tickets down as PAUSES.

    Parameters
    ----------
    events : DataFrame
        In order.
    key : str
        The column that tells tickets apart.
    pause, policy : policies
    read : callable
        Reads the dates of a field of the events.

    Returns
    -------
    Series of str
        By ticket; only those that were paused.

    Raises
    ------
    InputError
        The date of an event is missing, or cannot be read.
    """
    if pause.statuses:
        begins = read(events, str(pause.changed_at), policy)
        _refuse_undated(events, begins, str(pause.changed_at), policy)
        status = events[pause.status].str.strip()
        status = status.replace(policy.values.get(pause.status, {}))
        stands = status.isin(pause.statuses)
        ends = begins.groupby(events[key]).shift(-1)
    else:
        begins, ends = (read(events, str(name), policy) for name in (pause.begins, pause.ends))
        stands = begins.notna()
    (first, _), (last, open_end) = as_moments(begins[stands]), as_moments(ends[stands])
    end = pd.Series(last).astype("str").mask(open_end, "").to_numpy(dtype=object)
    text = pd.Series(first, index=begins[stands].index).astype("str") + "/" + end
    written: pd.Series = text.groupby(events.loc[stands, key]).agg(";".join).astype("str")
    return written


def _refuse_undated(events: pd.DataFrame, dates: pd.Series, field: str, policy: DataPolicy) -> None:
    """Raise if an event has no date."""
    if dates.isna().any():
        row = events[dates.isna()].iloc[0]
        raise InputError(
            f"{locate_row(row)}: column {policy.columns[field]!r} says when a status changed and "
            f"must be a date, not {quote_value(row[field])}."
        )
