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
_TICKET, _AT = "ticket", "at"


@dataclass(frozen=True, eq=False)
class Changes:
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


def join_changes(table: pd.DataFrame, ticket_ids: pd.Series) -> Changes:
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
    return Changes(
        np.searchsorted(ticket, np.arange(len(ticket_ids))).astype(np.int64),
        ticket,
        table[_AT].to_numpy(dtype="datetime64[us]"),
        table.drop(columns=[_TICKET, _AT]).reset_index(drop=True),
    )


NOW = "now:"  # begins the column of a changing field as it stands when a ticket is looked at


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
        By ticket id: ``now:<field>``, ``last_change_at`` and the counts, by their entries.
    """
    table = read_changes(events, policy)
    changes = join_changes(table, pd.Series(table[_TICKET].unique()))
    last = np.append(changes.first[1:], len(changes.ticket)) - 1
    described = changes.values.iloc[last].add_prefix(NOW).set_axis(table[_TICKET].unique())
    described[LAST_CHANGE] = changes.written[last]
    for entry in entries:
        if entry != IDLE:
            described[entry] = changes.count_so_far(last, entry)
    return described


def take_now(tickets: pd.DataFrame) -> pd.DataFrame:
    """Give tickets the values that their changing fields have when they are looked at."""
    now = [str(name) for name in tickets if str(name).startswith(NOW)]
    return tickets.assign(**{name.removeprefix(NOW): tickets[name] for name in now})
