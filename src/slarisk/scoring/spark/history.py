"""Record the history of an export in Spark tasks, and collect it: numbers and hashes alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from slarisk.learning.context import History, join_parts
from slarisk.model.history import from_table, to_table
from slarisk.scoring.export_reader import list_ticket_columns
from slarisk.scoring.history import record_frame
from slarisk.tickets.contract import type_fields

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from slarisk.model.manifest import Manifest

_PART = pa.schema([("part", pa.binary())])


def collect_history(good: DataFrame, manifest: Manifest) -> History:
    """Record the tickets to score, each id once, and join them on the driver."""
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    fields = list_ticket_columns(manifest)
    tickets = good.select(*(fn.col(f"`{name}`") for name in fields))
    parts = tickets.mapInArrow(partial(_record, manifest), from_arrow_schema(_PART)).collect()
    recorded = [from_table(pa.ipc.open_stream(bytes(row[0])).read_all()) for row in parts]
    empty = record_frame(manifest, type_fields(pd.DataFrame(), manifest.data, fields))
    return join_parts([empty, *recorded], manifest.data)


def _record(manifest: Manifest, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    fields = list_ticket_columns(manifest)
    for batch in batches:
        frame = type_fields(batch.to_pandas(), manifest.data, fields)
        table = to_table(record_frame(manifest, frame))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        yield pa.record_batch([[sink.getvalue().to_pybytes()]], _PART)
