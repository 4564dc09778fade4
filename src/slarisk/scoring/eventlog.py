"""Turn an event log of any length into tickets: by parts, each with all events of its tickets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.scoring.spool import Spool, to_batch
from slarisk.tickets.contract import collapse_events, ticket_keys

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

POSITION = "position"  # of an event among all; of a ticket: that of the first of its events
_PARTS = 64
_ROWS = 1 << 13  # read from each part at a time when they are brought together


class EventLog:
    """Events on disk, parted by ticket."""

    def __init__(self, policy: DataPolicy, folder: Path) -> None:
        self._policy = policy
        self._events = [Spool(folder / f"events-{part}") for part in range(_PARTS)]
        self._tickets = [Spool(folder / f"collapsed-{part}") for part in range(_PARTS)]
        self._count = 0

    def add(self, events: pd.DataFrame) -> None:
        """Add events, in their order in the export: text, and whole numbers."""
        events = events.assign(**{POSITION: np.arange(len(events)) + self._count})
        self._count += len(events)
        named = ticket_keys(events, self._policy)
        parts = pd.util.hash_array(named.to_numpy(dtype=object), categorize=False) % _PARTS
        for part in np.unique(parts):
            self._events[part].write(_to_batch(events[parts == part]))

    def collapse(self, rows: int) -> Iterator[pd.DataFrame]:
        """Give the tickets in order of their first events, about so many at a time."""
        for events, tickets in zip(self._events, self._tickets, strict=True):
            self._collapse_part(events, tickets)
        waiting = [_Waiting(spool) for spool in self._tickets]
        for start in range(0, self._count, rows):
            due = [each.take(start + rows) for each in waiting]
            frame = pd.concat(due, ignore_index=True)
            if len(frame):
                yield frame.sort_values(POSITION, ignore_index=True).drop(columns=POSITION)

    def _collapse_part(self, events: Spool, tickets: Spool) -> None:
        for table in events.read(self._count):  # all of it
            frame = table.to_pandas()
            first = ~ticket_keys(frame, self._policy).duplicated()
            collapsed = collapse_events(frame, self._policy)
            collapsed[POSITION] = frame.loc[first, POSITION].to_numpy()
            tickets.write(_to_batch(collapsed))
        tickets.close()
        events.path.unlink(missing_ok=True)


def _to_batch(frame: pd.DataFrame) -> pa.RecordBatch:
    schema = pa.schema(
        [
            (str(name), pa.int64() if pd.api.types.is_integer_dtype(kind) else pa.large_string())
            for name, kind in frame.dtypes.items()
        ]
    )
    return to_batch(frame, schema)


class _Waiting:
    """The tickets of a part, taken by position."""

    def __init__(self, spool: Spool) -> None:
        self._tables = spool.read(_ROWS)
        self._held = pd.DataFrame({POSITION: pd.Series(dtype="int64")})

    def take(self, before: int) -> pd.DataFrame:
        """Take those that begin before a position."""
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
