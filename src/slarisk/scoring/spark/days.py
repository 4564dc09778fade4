"""Find the latest time of an export in Spark tasks, as the local engine does while it reads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from slarisk.scoring.export_reader import collect_dates, list_ticket_columns
from slarisk.tickets.contract import type_fields
from slarisk.tickets.observation import DaysOfDates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from slarisk.model.manifest import Manifest

_DAY = pa.schema([(name, pa.int64()) for name in ("day", "count", "first", "last")])


def find_latest_time(tickets: DataFrame, manifest: Manifest) -> pd.Timestamp:
    """Find the latest time of the tickets that can be scored, repeated ids included."""
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    fields = list_ticket_columns(manifest)
    some = tickets.select(*(fn.col(f"`{name}`") for name in fields))
    days = DaysOfDates()
    found = some.mapInArrow(partial(_count_days, manifest), from_arrow_schema(_DAY)).collect()
    if found:
        table = pd.DataFrame([row.asDict() for row in found]).set_index("day")
        times = {name: pd.to_datetime(table[name], unit="us") for name in ("first", "last")}
        days.merge(table.assign(**times))
    return days.find_latest()


def _count_days(manifest: Manifest, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    fields = list_ticket_columns(manifest)
    days = DaysOfDates()
    for batch in batches:
        frame = type_fields(batch.to_pandas(), manifest.data, fields)
        days.add(collect_dates(frame, manifest.data))
    table = days.table
    if len(table):
        times = (table[name].astype("datetime64[us]").astype("int64") for name in ("first", "last"))
        yield pa.record_batch([table.index, table["count"].astype("int64"), *times], _DAY)
