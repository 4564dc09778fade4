"""When the clock of a ticket stands still: from an event log, from dates, or as minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.rows import locate_row, quote_value
from slarisk.times.clock import MINUTE, Pauses, unite_pauses
from slarisk.times.event_pauses import PAUSES
from slarisk.times.zones import as_moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import DataPolicy, Pause


def validate_pause(pause: Pause, policy: DataPolicy, dates: list[str]) -> None:
    """Raise if a pause is said in two ways or in half, or names fields that are not there.

    Parameters
    ----------
    pause : Pause
    policy : DataPolicy
    dates : list of str
        The date fields of the policy.
    """
    ways = [
        *(["statuses"] if pause.statuses or pause.changed_at else []),
        *(["begins and ends"] if pause.begins or pause.ends else []),
        *(["minutes"] if pause.minutes else []),
    ]
    if len(ways) > 1:
        raise InputError(f"sla.pause: {' and '.join(ways)} cannot both say when a clock stands.")
    for one, other in (("statuses", "changed_at"), ("begins", "ends")):
        if bool(getattr(pause, one)) != bool(getattr(pause, other)):
            missing = one if getattr(pause, other) else other
            raise InputError(f"sla.pause.{missing}: is missing.")
    if pause.statuses and policy.events is None:
        raise InputError(
            f"sla.pause.statuses: the data policy {policy.name} is no event log, so it does not "
            "say when a status began. Name sla.pause.begins and ends, or sla.pause.minutes."
        )
    for key in ("status", "changed_at", "begins", "ends", "minutes"):
        name = getattr(pause, key)
        if name is None or (key == "status" and not pause.statuses):
            continue
        if name not in policy.columns:
            raise InputError(
                f"sla.pause.{key}={name}: data.columns of the policy {policy.name} does not map "
                f"such a field. Fields: {', '.join(sorted(policy.columns))}."
            )
        if (key in ("changed_at", "begins", "ends")) != (name in dates):
            kind = "must be a date; list it in data.dates" if name not in dates else "is a date"
            raise InputError(f"sla.pause.{key}={name}: {kind}.")


def list_pause_fields(pause: Pause) -> list[str]:
    """List all fields that say when a clock stands."""
    names = [pause.status if pause.statuses else None, pause.changed_at, pause.begins, pause.ends]
    return [name for name in (*names, pause.minutes) if name]


def read_pauses(tickets: pd.DataFrame, pause: Pause, ended: pd.Series) -> Pauses | None:
    """Read the pauses of tickets.

    Parameters
    ----------
    tickets : DataFrame of n rows
    pause : Pause
    ended : Series of datetimes, shape (n,)
        When each was resolved, or last looked at: a pause without an end lasts until then.
    """
    if PAUSES in tickets:
        rows = np.arange(len(tickets))
        pieces = pd.Series(tickets[PAUSES].to_numpy(dtype=object), rows).dropna().str.split(";")
        each = pieces.explode().astype("str").str.split("/", expand=True)
        if not len(each):
            return None
        position = each.index.to_numpy(dtype=np.int64)
        begins = each[0].to_numpy(dtype=object).astype(np.int64)
        open_end = (each[1] == "").to_numpy()
        ends = each[1].where(~open_end, "0").to_numpy(dtype=object).astype(np.int64)
    elif pause.begins and pause.begins in tickets and pause.ends in tickets:
        (begins, missing), (ends, open_end) = (
            as_moments(tickets[name]) for name in (pause.begins, pause.ends)
        )
        position = np.flatnonzero(~missing)
        begins, ends, open_end = begins[position], ends[position], open_end[position]
    else:
        return None
    last, unknown = as_moments(ended)
    last = np.where(unknown, np.iinfo(np.int64).min, last)
    ends = np.where(open_end, last[position], ends)
    return unite_pauses(position, begins, ends)


def read_paused(tickets: pd.DataFrame, pause: Pause) -> NDArray[np.int64] | None:
    """Read the time that each ticket was paused in all, in microseconds; 0 where it is not said."""
    if not pause.minutes or pause.minutes not in tickets:
        return None
    minutes = pd.to_numeric(tickets[pause.minutes], errors="coerce").astype(float)
    minutes = minutes.where(minutes.between(0, np.inf, inclusive="neither"), 0.0)
    paused: NDArray[np.int64] = np.rint(minutes.to_numpy() * MINUTE).astype(np.int64)
    return paused


def find_bad_pauses(tickets: pd.DataFrame, pause: Pause) -> tuple[pd.Series, str | None]:
    """Find tickets whose pause is no number of at least 0, or ends before it begins; the field."""
    if pause.minutes and pause.minutes in tickets:
        minutes = pd.to_numeric(tickets[pause.minutes], errors="coerce")
        fits = minutes.between(0, np.inf, inclusive="left")
        return tickets[pause.minutes].notna() & ~fits, pause.minutes
    if PAUSES not in tickets and pause.begins in tickets and pause.ends in tickets:
        return tickets[pause.ends] < tickets[pause.begins], pause.ends
    return pd.Series(False, index=tickets.index), None


def describe_bad_pauses(
    tickets: pd.DataFrame, bad: pd.Series, field: str, pause: Pause, policy: DataPolicy
) -> str:
    """Say what is wrong with the pause of the first of some tickets."""
    row = tickets[bad].iloc[0]
    must = "must be minutes, at least 0" if field == pause.minutes else "must not end a pause"
    before = "" if field == pause.minutes else " before it begins"
    return (
        f"{locate_row(row)}: column {policy.columns[field]!r} {must}{before}, not "
        f"{quote_value(str(row[field]))} ({int(bad.sum()):,} rows)."
    )
