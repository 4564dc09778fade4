"""Record batches in temporary files, so that memory does not grow with their number."""

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
except ImportError:  # Windows: the folders of killed runs stay
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_spool_folder(output: Path) -> Iterator[Path]:
    """Open a temporary folder next to a file, and delete those of runs that were killed."""
    output.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{output.name}.spool-"
    for old in output.parent.glob(f"{prefix}*") if fcntl else ():
        with suppress(OSError), (old / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run is alive
            shutil.rmtree(old)
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix=prefix) as name,
        (Path(name) / "lock").open("w") as lock,
    ):
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def to_batch(frame: pd.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    """Make a record batch of the schema's columns of a frame that has rows."""
    table = pa.Table.from_pandas(frame[schema.names], schema, preserve_index=False)
    return table.combine_chunks().to_batches()[0]


class Spool:
    """Record batches in a file: all are written first, then read in the same order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: pa.ipc.RecordBatchStreamWriter | None = None
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; all batches have the same schema."""
        if self._writer is None:
            self._writer = pa.ipc.new_stream(str(self.path), batch.schema)
        self._writer.write_batch(batch)
        self.rows += len(batch)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def read(self, rows: int) -> Iterator[pa.Table]:
        """Read tables of exactly ``rows`` rows; the last may have fewer."""
        self.close()
        if self._writer is None:
            return
        # not memory-mapped: pages that are read once should not stay in memory
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
