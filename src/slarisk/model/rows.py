"""Rows that a served model is given: tickets or their events, and the moments asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import Moment
from slarisk.errors import InputError
from slarisk.tickets.changes import (
    FIRST,
    IDLE,
    NOW,
    join_changes,
    list_change_fields,
    name_so_far,
    read_changes,
)
from slarisk.tickets.contract import type_fields
from slarisk.tickets.events import read_event_dates, read_order, ticket_keys
from slarisk.tickets.fields import AS_OF, LAST_CHANGE

if TYPE_CHECKING:
    from slarisk.config import DataPolicy
    from slarisk.model.manifest import Manifest


def type_rows(raw: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Type the rows of a request.

    Parameters
    ----------
    raw : DataFrame of n rows
        Text by field; ``as_of`` is the moment at which a ticket is looked at.
    manifest : Manifest

    Returns
    -------
    DataFrame of n rows
        Typed tickets. For a model of open tickets they have ``as_of``. Where rows can be put in
        order, each is an event: of its ticket's fields it has those known at creation from the
        first of the ticket's events, and the changing ones as of its moment, which by default is
        that of the event.

    Raises
    ------
    InputError
        A moment cannot be read, or an event has no place.
    """
    data = manifest.data
    tickets = type_fields(raw, data)
    if manifest.moment is not Moment.open:
        return tickets
    asked = pd.Series(pd.NaT, index=raw.index, dtype="datetime64[us]")
    if AS_OF in raw:
        asked = read_event_dates(raw, AS_OF, data)
        lost = (asked.isna() & raw[AS_OF].notna() & (raw[AS_OF] != "")).to_numpy()
        if lost.any():
            raise InputError(
                f"as_of: row {int(np.argmax(lost))} of the request has {raw[AS_OF][lost].iloc[0]!r}"
                f", not a date (tried: {', '.join(data.date_formats)})."
            )
    if data.events is None or data.events.order not in raw or raw[data.events.order].isna().all():
        return tickets.assign(**{AS_OF: asked})
    return _stand_at_events(raw, tickets, asked, manifest)


def _stand_at_events(
    raw: pd.DataFrame, tickets: pd.DataFrame, asked: pd.Series, manifest: Manifest
) -> pd.DataFrame:
    data = manifest.data
    _validate_events(raw, data)
    order, keys = read_order(raw, data), ticket_keys(raw, data)
    codes, ids = pd.factorize(keys)
    changes = join_changes(read_changes(raw, data), pd.Series(ids))
    field = next(name for name in list_change_fields(data) if name != "ticket_id")
    moments = asked.fillna(read_event_dates(raw, field, data))
    events = changes.find(codes.astype(np.int64), moments.to_numpy(dtype="datetime64[us]"))
    by_order = np.lexsort((np.arange(len(raw)), order.to_numpy(), codes))
    first = by_order[np.searchsorted(codes[by_order], np.arange(len(ids)))][codes]
    known = [name for name in data.known.created if name in tickets]
    columns = {name: tickets[name].iloc[first].set_axis(tickets.index) for name in known}
    for name in changes.values:
        values = changes.values[name]
        columns[f"{NOW}{name}"] = values.iloc[events].set_axis(tickets.index)
        columns[f"{FIRST}{name}"] = values.iloc[changes.first[codes]].set_axis(tickets.index)
    columns[LAST_CHANGE] = pd.Series(changes.written[events], index=tickets.index)
    for entry in manifest.features.so_far:
        if entry != IDLE:
            counted = changes.count_so_far(events, entry)
            columns[name_so_far(entry)] = pd.Series(counted, index=tickets.index)
    return tickets.assign(**columns, **{AS_OF: moments})


def _validate_events(raw: pd.DataFrame, data: DataPolicy) -> None:
    """Raise if the events of a request lack what they are ordered by."""
    for name in list_change_fields(data):
        if name not in raw:
            raise InputError(
                f"The events lack the column {data.columns[name]}. Without "
                f"{data.columns[data.events.order]} each row is a ticket as it stands."  # type: ignore[union-attr]
            )
    order = read_order(raw, data)
    for values, what in ((order, "a place in the order"), (raw["ticket_id"], "a ticket id")):
        if values.isna().any():
            row = int(np.argmax(values.isna().to_numpy()))
            raise InputError(f"row {row} of the request has no {what.removeprefix('a ')}.")
