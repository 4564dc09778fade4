"""The export as CSV or Parquet, written as its rows come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from slarisk.scoring.export import EXPORT_PLAIN, EXPORT_SCHEMA

FormattedRows: TypeAlias = pa.Buffer | pa.RecordBatch  # as the file will have them

_TRUTH = pa.array(["False", "True"])


def format_rows(batch: pa.RecordBatch, parquet: bool) -> FormattedRows:
    """Format rows of the export for its file; CSV is UTF-8 with quoted text and all digits."""
    return batch.cast(EXPORT_PLAIN) if parquet else _format_csv(batch, header=False)


def _format_csv(batch: pa.RecordBatch, header: bool) -> pa.Buffer:
    columns = [
        pa.DictionaryArray.from_arrays(column.cast(pa.int8()), _TRUTH)
        if pa.types.is_boolean(column.type)
        else column
        for column in batch.columns
    ]
    buffer = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=header)
    pa.csv.write_csv(pa.record_batch(columns, batch.schema.names), buffer, options)
    return buffer.getvalue()


@contextmanager
def open_export(path: Path, parquet: bool) -> Iterator[Callable[[FormattedRows], object]]:
    """Open the export's file; gives a function that adds formatted rows to it."""
    if parquet:
        with pa.parquet.ParquetWriter(path, EXPORT_PLAIN) as writer:
            yield writer.write_batch
    else:
        with path.open("wb") as file:
            file.write(_format_csv(pa.RecordBatch.from_pylist([], EXPORT_SCHEMA), header=True))
            yield file.write
