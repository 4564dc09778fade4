"""One ticket from the events of a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from slarisk.config import Which
from slarisk.errors import InputError
from slarisk.exports.numbers import read_plain
from slarisk.exports.rows import SOURCE_FILE, SOURCE_ROW, Broken, locate_row, quote_value
from slarisk.tickets.contract import find_instants, read_date_field, show_dates, trim_text
from slarisk.tickets.fields import ARRIVED, date_fields, fold_status, list_taken_fields
from slarisk.times.event_pauses import PAUSES, event_pause_fields, write_event_pauses

if TYPE_CHECKING:
    from slarisk.config import ChosenEvent, DataPolicy, Pause

UNREADABLE_ORDER, UNDATED = "unreadable_event_order", "unreadable_event_date"


def leave_out_events(
    events: pd.DataFrame, policy: DataPolicy, pause: Pause | None
) -> tuple[pd.DataFrame, list[Broken]]:
    """Leave out the events that have no place in the log.

    Raises
    ------
    InputError
        There is no other event.
    """
    reasons, columns = find_bad_events(events, policy, None if pause is None else pause.changed_at)
    bad = (reasons != "").to_numpy()
    if not bad.any():
        return events, []
    first = events[bad].iloc[0]
    name = columns[bad].iloc[0]
    if bad.all():
        field = next(each for each, column in policy.columns.items() if column == name)
        kind = "date" if field in date_fields(policy) else "number"
        raise InputError(
            f"{locate_row(first)}: column {name!r} orders the events and must be a {kind}, not "
            f"{quote_value(first[field])}; no event can be read."
        )
    lost = [
        Broken(file, row, reason, f"column {column}")
        for file, row, reason, column in zip(
            events.loc[bad, SOURCE_FILE],
            events.loc[bad, SOURCE_ROW],
            reasons[bad],
            columns[bad],
            strict=True,
        )
    ]
    return events[~bad].reset_index(drop=True), lost


def find_bad_events(
    events: pd.DataFrame, policy: DataPolicy, dated: str | None
) -> tuple[pd.Series, pd.Series]:
    """Find events that cannot be put in order, or lack a date in the field ``dated``.

    Returns
    -------
    Series of str
        The reason for each, empty where there is none.
    Series of str
        The column that it lies in.
    """
    assert policy.events is not None
    reasons = pd.Series("", index=events.index, dtype="str")
    columns = pd.Series("", index=events.index, dtype="str")
    lacking = {UNREADABLE_ORDER: (policy.events.order, read_order(events, policy))}
    if dated is not None:
        lacking[UNDATED] = (dated, read_event_dates(events, dated, policy))
    for reason, (field, values) in lacking.items():
        bad = values.isna() & (reasons == "")
        reasons, columns = reasons.mask(bad, reason), columns.mask(bad, policy.columns[field])
    return reasons, columns


def collapse_events(
    events: pd.DataFrame, policy: DataPolicy, pause: Pause | None = None
) -> pd.DataFrame:
    """Turn an event log into one row per ticket, in order of first appearance.

    Events are put in order by the policy's ``order`` field, a number or one of its dates; equal
    ones keep the order of the file. Events without a ticket id stay as rows of their own, to be
    counted as such.

    Raises
    ------
    InputError
        An event has no place in the order.
    """
    assert policy.events is not None
    by = policy.events.order
    order = read_order(events, policy)
    if order.isna().any():
        row = events[order.isna()].iloc[0]
        kind = "date" if by in date_fields(policy) else "number"
        raise InputError(
            f"{locate_row(row)}: column {policy.columns[by]!r} orders the events "
            f"and must be a {kind}, not {quote_value(row[by])}."
        )
    ticket = ticket_keys(events, policy)
    ordered = events.assign(_order=order, _ticket=ticket).sort_values("_order", kind="stable")
    by_ticket = ordered.groupby("_ticket", sort=False)
    # head and tail rather than first and last: those would skip missing values
    first = by_ticket.head(1).set_index("_ticket")
    last = by_ticket.tail(1).set_index("_ticket").loc[first.index]
    arrived = _find_arrived_resolved(first, policy)
    late = [name for name in policy.columns if name in last and name not in policy.known.created]
    first[late] = last[late]
    for name, chosen in list_taken_fields(policy).items():
        if name in ordered:
            first[name] = _take_event(ordered, name, chosen, policy).reindex(first.index)
    if arrived is not None:
        first[ARRIVED] = arrived
    if pause is not None and event_pause_fields(pause, policy):
        first[PAUSES] = write_event_pauses(ordered, "_ticket", pause, policy, read_event_dates)
    in_file_order = ticket.drop_duplicates()
    return first.loc[in_file_order].drop(columns="_order").reset_index(drop=True)


def _find_arrived_resolved(first: pd.DataFrame, policy: DataPolicy) -> pd.Series | None:
    """Mask of tickets whose first event says that they are resolved; None if none is told by it."""
    assert policy.events is not None
    if not policy.events.resolved or "status" not in first:
        return None
    statuses = {fold_status(each) for each in policy.events.resolved}
    return trim_text(first["status"], policy).str.casefold().isin(statuses)


def _take_event(
    ordered: pd.DataFrame, name: str, chosen: ChosenEvent, policy: DataPolicy
) -> pd.Series:
    """Take the value of a field from the first or last event of some kinds, by ticket."""
    assert policy.events is not None
    rows = ordered
    if chosen.of:
        assert policy.events.kind is not None
        kinds = trim_text(ordered[policy.events.kind], policy).str.casefold()
        rows = ordered[kinds.isin([kind.strip().casefold() for kind in chosen.of])]
    grouped = rows.groupby("_ticket", sort=False)
    of_each = grouped.head(1) if chosen.which is Which.first else grouped.tail(1)
    return of_each.set_index("_ticket")[name]


def find_last_events(events: pd.DataFrame, policy: DataPolicy) -> pd.Series | None:
    """Find when the last event of each ticket was, in order of first appearance.

    None if the events are not put in order by date.
    """
    assert policy.events is not None
    if policy.events.order not in date_fields(policy):
        return None
    order = read_order(events, policy)
    return order.groupby(ticket_keys(events, policy), sort=False).max()


def read_event_dates(events: pd.DataFrame, field: str, policy: DataPolicy) -> pd.Series:
    """Read a date of each event."""
    text = events.assign(**{field: trim_text(events[field], policy)})
    dates, _ = read_date_field(text, field, policy)
    return find_instants(show_dates(dates, policy.timezone), dates, policy.timezone)[0]


def read_order(events: pd.DataFrame, policy: DataPolicy) -> pd.Series:
    """Read the order of events as numbers or dates; missing where it is neither."""
    assert policy.events is not None
    by = policy.events.order
    written = trim_text(events[by], policy)
    if by in date_fields(policy):
        return read_event_dates(events, by, policy)
    plain = read_plain(written, policy.decimal, policy.thousands)
    return pd.to_numeric(plain, errors="coerce")


def ticket_keys(events: pd.DataFrame, policy: DataPolicy) -> pd.Series:
    """Return the ticket key of each event; an event without an id gets a key of its own."""
    ticket = trim_text(events["ticket_id"], policy)
    return ticket.fillna(pd.Series(events.index.astype(str), events.index) + "\0")
