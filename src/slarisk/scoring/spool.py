"""Tickets and rows that wait on disk, so that memory does not grow with their number."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

try:
    import fcntl
except ImportError:  # Windows: what a killed run left stays
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def spooling(beside: Path) -> Iterator[Path]:
    """Open a folder beside a file for what waits, and clear away those of runs that were killed."""
    beside.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{beside.name}.spool-"
    for left in beside.parent.glob(f"{prefix}*") if fcntl else ():
        with suppress(OSError), (left / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run is alive
            shutil.rmtree(left)
    with (
        tempfile.TemporaryDirectory(dir=beside.parent, prefix=prefix) as name,
        (Path(name) / "lock").open("w") as lock,
    ):
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def to_batch(frame: pd.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    """Make a record batch of some columns of a frame that has rows."""
    table = pa.Table.from_pandas(frame[schema.names], schema, preserve_index=False)
    return table.combine_chunks().to_batches()[0]


class Spool:
    """Record batches in a file: all are written, then read again in the same order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; all batches have one schema."""
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self.path), batch.schema)
        self._writer.write_batch(batch)
        self.rows += len(batch)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def read(self, rows: int) -> Iterator[pa.Table]:
        """Read tables of exactly so many rows; the last may have fewer."""
        self.close()
        if self._writer is None:
            return
        # not memory-mapped: what is read once should not stay
        with pa.OSFile(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            kept: list[pa.RecordBatch] = []
            held = 0
            for batch in stream:
                while held + len(batch) >= rows:
                    here = rows - held
                    yield pa.Table.from_batches([*kept, batch.slice(0, here)])
                    batch, kept, held = batch.slice(here), [], 0
                if len(batch):
                    kept.append(batch)
                    held += len(batch)
            if kept:
                yield pa.Table.from_batches(kept)
