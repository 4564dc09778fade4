"""What the events of a log say of a ticket at any moment: its fields as they stood, and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.tickets.contract import type_fields
from slarisk.tickets.events import read_event_dates, read_order, ticket_keys
from slarisk.tickets.fields import LAST_CHANGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from slarisk.config import DataPolicy

    Positions = NDArray[np.int64]

EVENTS, IDLE, CHANGES_OF = "events", "idle", "changes of "  # entries of ``features.so_far``
# begin the column of a changing field as it stands when a ticket is looked at, or at first
NOW, FIRST = "now:", "first:"
_TICKET, _AT = "ticket", "at"


@dataclass(frozen=True, eq=False)
class FieldChanges:
    """The events of n tickets, ordered by ticket and time.

    Attributes
    ----------
    first : int array of shape (n,)
        Position of each ticket's first event. Its values are known at creation, whenever it was
        written.
    ticket : int array of shape (m,)
        Position of each event's ticket.
    written : datetime64[us] array of shape (m,)
        When each event was written.
    values : DataFrame of m rows
        The changing fields, typed, as each event leaves them.
    """

    first: Positions
    ticket: Positions
    written: NDArray[np.datetime64]
    values: pd.DataFrame

    def find(self, tickets: Positions, moments: NDArray[np.datetime64]) -> Positions:
        """Find the last event of each ticket by a moment, the first one if there is none yet.

        Parameters
        ----------
        tickets : int array of shape (k,)
        moments : datetime64 array of shape (k,)

        Returns
        -------
        int array of shape (k,)
            Positions of events.
        """
        # not by groupby().last() and the like, which skip missing values and so look further
        times = np.unique(self.written)
        size = len(times) + 1
        keys = self.ticket * size + np.searchsorted(times, self.written)
        wanted = tickets * size + np.searchsorted(times, moments, side="right")
        return np.maximum(np.searchsorted(keys, wanted, side="left") - 1, self.first[tickets])

    def count_so_far(self, events: Positions, entry: str) -> NDArray[np.float64]:
        """Count what has happened up to some events.

        Parameters
        ----------
        events : int array of shape (k,)
        entry : str
            ``events``, or ``changes of <field>``: of its values between successive events.
        """
        if entry == EVENTS:
            counted: NDArray[np.float64] = (events - self.first[self.ticket[events]] + 1).astype(
                float
            )
            return counted
        values = self.values[entry.removeprefix(CHANGES_OF)]
        codes = pd.factorize(values, use_na_sentinel=False)[0]
        changed = np.zeros(len(codes), dtype=np.int64)
        changed[1:] = (codes[1:] != codes[:-1]) & (self.ticket[1:] == self.ticket[:-1])
        total = np.cumsum(changed)
        return (total[events] - total[self.first[self.ticket[events]]]).astype(float)


def list_change_fields(policy: DataPolicy) -> list[str]:
    """List the fields of an event that its changes rest on."""
    return list(dict.fromkeys(["ticket_id", find_change_date(policy), *policy.known.changing]))


def find_change_date(policy: DataPolicy) -> str:
    """Name the field with the date of an event."""
    assert policy.events is not None
    return policy.events.changed_at or policy.events.order


def read_changes(events: pd.DataFrame, policy: DataPolicy) -> pd.DataFrame:
    """Read the changes of a log, in order of ticket and time.

    Parameters
    ----------
    events : DataFrame
        Events as text, each with a place in the order of the log.
    policy : DataPolicy

    Returns
    -------
    DataFrame
        ``ticket`` (the id), ``at`` and the fields in ``known.changing``. An event without a date is
        left out, unless it is the first of its ticket.
    """
    assert policy.events is not None
    names = [name for name in policy.known.changing if name in policy.columns]
    field = find_change_date(policy)
    typed = type_fields(events[[*dict.fromkeys([*names, *_marks(events)])]], policy, names)
    table = typed[names].assign(
        **{
            _TICKET: ticket_keys(events, policy),
            _AT: read_event_dates(events, field, policy).astype("datetime64[us]"),
            "_order": read_order(events, policy),
        }
    )
    table = table[events["ticket_id"].notna()].sort_values([_TICKET, "_order"], kind="stable")
    first = ~table[_TICKET].duplicated()
    table[_AT] = table[_AT].mask(first & table[_AT].isna(), pd.Timestamp("1677-09-22"))
    table = table[table[_AT].notna()].drop(columns="_order")
    # an event cannot be written before one that it follows: what it says is known when both are
    table[_AT] = table.groupby(_TICKET, sort=False)[_AT].cummax()
    return table.reset_index(drop=True)


def _marks(events: pd.DataFrame) -> Iterable[str]:
    return [name for name in ("source_file", "source_row") if name in events]


def join_changes(table: pd.DataFrame, ticket_ids: pd.Series) -> FieldChanges:
    """Give the changes of some tickets, by position.

    Parameters
    ----------
    table : DataFrame
        As :func:`read_changes` gives it.
    ticket_ids : Series of str, shape (n,)
        Each once.
    """
    place = pd.Index(ticket_ids).get_indexer(pd.Index(table[_TICKET]))
    table = table[place >= 0]
    order = np.argsort(place[place >= 0], kind="stable")
    ticket = place[place >= 0][order].astype(np.int64)
    table = table.iloc[order]
    return FieldChanges(
        np.searchsorted(ticket, np.arange(len(ticket_ids))).astype(np.int64),
        ticket,
        table[_AT].to_numpy(dtype="datetime64[us]"),
        table.drop(columns=[_TICKET, _AT]).reset_index(drop=True),
    )


def list_standing_columns(policy: DataPolicy, entries: Iterable[str]) -> list[str]:
    """List the columns of :func:`describe_events`."""
    changing = [name for name in policy.known.changing if name in policy.columns]
    late = [name for name in changing if name not in policy.known.created]
    counts = [name_so_far(entry) for entry in entries if entry != IDLE]
    return [*(NOW + name for name in changing), *(FIRST + name for name in late),
            LAST_CHANGE, *counts]  # fmt: skip


def describe_events(
    events: pd.DataFrame, policy: DataPolicy, entries: Iterable[str]
) -> pd.DataFrame:
    """Describe what the events of tickets come to: the last value of each changing field, counts.

    Parameters
    ----------
    events : DataFrame
        All events of some tickets that are to be counted, as text.
    policy : DataPolicy
    entries : iterable of str
        Of ``features.so_far``.

    Returns
    -------
    DataFrame
        By ticket id, as text: ``now:<field>``, also ``first:<field>`` of fields that are not known
        at creation, ``last_change_at`` (microseconds since 1970) and the counts.
    """
    table = read_changes(events, policy)
    ids = pd.Series(table[_TICKET].unique())
    changes = join_changes(table, ids)
    last = np.append(changes.first[1:], len(changes.ticket))[: len(ids)] - 1
    columns = {}
    for name in changes.values:
        columns[f"{NOW}{name}"] = changes.values[name].to_numpy(dtype=object)[last]
        if name not in policy.known.created:
            columns[f"{FIRST}{name}"] = changes.values[name].to_numpy(dtype=object)[changes.first]
    columns[LAST_CHANGE] = changes.written[last].astype(np.int64).astype(str)
    for entry in entries:
        if entry != IDLE:
            counted = changes.count_so_far(last, entry)
            columns[name_so_far(entry)] = counted.astype(np.int64).astype(str)
    described = pd.DataFrame(columns, index=ids.to_numpy(dtype=object)).astype("str")
    return described[list_standing_columns(policy, entries)]


def stand_by_events(
    tickets: pd.DataFrame, fresh: pd.Series, created: pd.Series, entries: Iterable[str]
) -> pd.DataFrame:
    """Complete what the events of tickets say of them at the moment at which they are looked at.

    Parameters
    ----------
    tickets : DataFrame
        With what :func:`describe_events` says of them, or without.
    fresh : Series of bool
        Tickets that are looked at as they were created: of these only the first event counts.
    created : Series of datetimes
    entries : iterable of str
        Of ``features.so_far``.

    Returns
    -------
    DataFrame
        With ``last_change_at`` as dates, and the counts as numbers.
    """
    columns = {}
    for name in map(str, tickets):
        if name.startswith(NOW):
            field = name.removeprefix(NOW)
            first = tickets.get(FIRST + field, tickets.get(field))
            columns[name] = tickets[name].where(~fresh, first)
    columns[LAST_CHANGE] = get_last_change(tickets).where(~fresh, created).fillna(created)
    for entry in entries:
        if entry != IDLE:
            least = 1.0 if entry == EVENTS else 0.0
            counted = tickets.get(name_so_far(entry), pd.Series(least, index=tickets.index))
            counted = pd.to_numeric(counted, errors="coerce").astype(float)
            columns[name_so_far(entry)] = counted.where(~fresh, least).fillna(least)
    return tickets.assign(**columns)


def get_last_change(tickets: pd.DataFrame) -> pd.Series:
    """Return when the last event of each ticket was; NaT where nothing is known of events."""
    if LAST_CHANGE not in tickets:
        return pd.Series(pd.NaT, index=tickets.index, dtype="datetime64[us]")
    last = tickets[LAST_CHANGE]
    if pd.api.types.is_datetime64_any_dtype(last):
        return last
    moments = pd.to_numeric(last, errors="coerce").astype("Int64")
    read: pd.Series = moments.astype("datetime64[us]")
    return read


def take_now(tickets: pd.DataFrame) -> pd.DataFrame:
    """Give tickets the values that their changing fields have when they are looked at."""
    now = [str(name) for name in tickets if str(name).startswith(NOW)]
    return tickets.assign(**{name.removeprefix(NOW): tickets[name] for name in now})


def name_so_far(entry: str) -> str:
    """Name the column of an entry of ``features.so_far``."""
    if entry.startswith(CHANGES_OF):
        return f"changes_{entry.removeprefix(CHANGES_OF)}"
    return {EVENTS: "events_so_far", IDLE: "idle_hours"}[entry]
