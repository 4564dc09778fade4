"""The two files of a scoring, written as their rows come: the export and the rejected rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from slarisk.scoring.export import EXPORT_PLAIN, EXPORT_SCHEMA, REJECTED_COLUMNS
from slarisk.scoring.export_reader import DETAIL, FILE, REASON
from slarisk.tickets.rows import SOURCE_LINE, SOURCE_ROW
from slarisk.tickets.spreadsheets import neutralise

Formed: TypeAlias = pa.Buffer | pa.RecordBatch  # rows as the file will have them

_TRUTH = pa.array(["False", "True"])


def format_csv(batch: pa.RecordBatch) -> Formed:
    """Write rows as CSV: UTF-8, text in quotes, every digit of a number, nothing for a gap."""
    return _to_csv(batch, header=False)


def _to_csv(batch: pa.RecordBatch, header: bool) -> pa.Buffer:
    columns = [
        pa.DictionaryArray.from_arrays(column.cast(pa.int8()), _TRUTH)
        if pa.types.is_boolean(column.type)
        else column
        for column in batch.columns
    ]
    written = pa.BufferOutputStream()
    pa.csv.write_csv(
        pa.record_batch(columns, batch.schema.names),
        written,
        pa.csv.WriteOptions(include_header=header),
    )
    return written.getvalue()


def format_parquet(batch: pa.RecordBatch) -> Formed:
    """Write every name out."""
    return batch.cast(EXPORT_PLAIN)


@contextmanager
def open_export(path: Path, parquet: bool) -> Iterator[Callable[[Formed], object]]:
    """Open the export's file: what is yielded adds formed rows to it."""
    if parquet:
        with pa.parquet.ParquetWriter(path, EXPORT_PLAIN) as writer:
            yield writer.write_batch
    else:
        with path.open("wb") as file:
            file.write(_to_csv(pa.RecordBatch.from_pylist([], EXPORT_SCHEMA), header=True))
            yield file.write


class RejectedFile:
    """The file of rejected rows, in CSV."""

    def __init__(self, path: Path, files: list[str]) -> None:
        self._files = files
        self._stream = path.open("w", encoding="utf-8", newline="")
        self._stream.write(",".join(REJECTED_COLUMNS) + "\n")

    def __enter__(self) -> RejectedFile:
        """Go on."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._stream.close()

    def write(self, rows: pd.DataFrame) -> None:
        """Add rows: their place by number of file, row and line, id, reason and detail."""
        if rows.empty:
            return
        table = pd.DataFrame(
            {
                "file": rows[FILE].map(dict(enumerate(self._files))),
                "row": rows[SOURCE_ROW],
                "line": rows[SOURCE_LINE].where(rows[SOURCE_LINE] > 0).astype("Int64"),
                "Ticket ID": rows["ticket_id"],
                "reason": rows[REASON],
                "detail": rows[DETAIL],
            }
        )
        neutralise(table).to_csv(self._stream, header=False, index=False, lineterminator="\n")
