"""Turn an event log of any length into tickets: in parts, each with all events of its tickets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.config import Moment
from slarisk.scoring.spool import Spool, to_batch
from slarisk.tickets.changes import describe_events
from slarisk.tickets.events import collapse_events, ticket_keys
from slarisk.tickets.fields import ARRIVED

if TYPE_CHECKING:
    from slarisk.model.manifest import Manifest

POSITION = "event_position"  # of an event among all; of a ticket: that of its first event
_PARTS = 64
_ROWS = 1 << 13  # read from each part at a time for merging


class EventSpool:
    """Events on disk, partitioned by ticket."""

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        self._manifest, self._policy = manifest, manifest.data
        self._events = [Spool(folder / f"events-{part}") for part in range(_PARTS)]
        self._tickets = [Spool(folder / f"collapsed-{part}") for part in range(_PARTS)]
        self._count = 0

    def add(self, events: pd.DataFrame) -> None:
        """Add events, in their order in the export: columns of text or whole numbers."""
        events = events.assign(**{POSITION: np.arange(len(events)) + self._count})
        self._count += len(events)
        keys = ticket_keys(events, self._policy)
        parts = pd.util.hash_array(keys.to_numpy(dtype=object), categorize=False) % _PARTS
        for part in np.unique(parts):
            self._events[part].write(_to_batch(events[parts == part]))

    def collapse(self, rows: int) -> Iterator[pd.DataFrame]:
        """Give the tickets in order of their first events, about ``rows`` at a time."""
        for events, tickets in zip(self._events, self._tickets, strict=True):
            for table in events.read(self._count):  # one table with all events of the part
                collapsed = collapse_in_order(table.to_pandas(), self._manifest)
                tickets.write(_to_batch(collapsed))
            tickets.close()
            events.path.unlink(missing_ok=True)
        queues = [_TicketQueue(spool) for spool in self._tickets]
        for start in range(0, self._count, rows):
            due = [queue.take(start + rows) for queue in queues]
            frame = pd.concat(due, ignore_index=True)
            if len(frame):
                yield frame.sort_values(POSITION, ignore_index=True).drop(columns=POSITION)


def collapse_in_order(events: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Collapse all events of some tickets into these; POSITION is that of the first event.

    For a model of open tickets they have what their events come to, too.
    """
    policy = manifest.data
    keys = ticket_keys(events, policy)
    first = ~keys.duplicated()
    tickets = collapse_events(events, policy, manifest.sla.pause)
    tickets = tickets.drop(columns=ARRIVED, errors="ignore")  # which only labels rest on
    tickets[POSITION] = events.loc[first, POSITION].to_numpy()
    if manifest.moment is Moment.open:
        described = describe_events(events, policy, manifest.features.so_far)
        described = described.reindex(keys[first]).set_axis(tickets.index)
        tickets = pd.concat([tickets, described], axis="columns")
    return tickets


def _to_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    kinds = [
        (str(name), pa.int64() if pd.api.types.is_integer_dtype(kind) else pa.large_string())
        for name, kind in frame.dtypes.items()
    ]
    return to_batch(frame, pa.schema(kinds))


class _TicketQueue:
    """The tickets of a part, in order of their positions."""

    def __init__(self, spool: Spool) -> None:
        self._tables = spool.read(_ROWS)
        self._held = pd.DataFrame({POSITION: pd.Series(dtype="int64")})

    def take(self, before: int) -> pd.DataFrame:
        """Take the tickets up to a position."""
        held = [self._held]
        while not len(held[-1]) or held[-1][POSITION].iloc[-1] < before:
            table = next(self._tables, None)
            if table is None:
                break
            held.append(table.to_pandas())
        frame = pd.concat([each for each in held if len(each)] or held[:1], ignore_index=True)
        due = frame[POSITION] < before
        self._held = frame[~due]
        return frame[due]
