"""Read and reject the rows of an export in Spark, with the functions of the local engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pandas as pd
import pyarrow as pa

from slarisk.exports.read import count_groups, read_parts
from slarisk.exports.rows import SOURCE_LINE, SOURCE_ROW
from slarisk.scoring.eventlog import POSITION, collapse_in_order
from slarisk.scoring.export_reader import (
    list_event_fields,
    list_required_fields,
    list_ticket_columns,
)
from slarisk.scoring.rejections import (
    DETAIL,
    FILE,
    REASON,
    list_malformed,
    sort_events,
    sort_tickets,
)
from slarisk.scoring.spool import to_batch
from slarisk.tickets.events import ticket_keys
from slarisk.tickets.left_out import DUPLICATE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from slarisk.config import DataPolicy
    from slarisk.model.manifest import Manifest

Frames: TypeAlias = Iterator[pd.DataFrame]

PIECE_ROWS = 1 << 20  # of a Parquet file, about, that are read by one task
_PLACE = (FILE, SOURCE_ROW, SOURCE_LINE)
_KEY = "ticket_key"
_ROUND = (
    "rejected_in_round"  # the local engine rejects rows when it reads, collapses, and finds repeats
)
_ROW_BITS = 40  # of a position; the bits above are the file's number


class Piece(NamedTuple):
    """What a task reads: a file, or the row groups ``first`` to ``last - 1`` of a Parquet file.

    ``number`` is that of the file; ``last`` 0 means all of it; ``before`` is the number of its
    rows before the piece.
    """

    number: int
    path: str
    first: int = 0
    last: int = 0
    before: int = 0


def read_rows(
    spark: SparkSession, manifest: Manifest, files: list[str], at: pd.Timestamp | None = None
) -> tuple[DataFrame, DataFrame]:
    """Read all rows of the files, and find those that cannot be scored as of a moment.

    Returns
    -------
    read : DataFrame
        All rows: the tickets, or the events of a log.
    rows : DataFrame
        Tickets and malformed rows: position, raw text by field, and the reason for rejecting.
    """
    fields = list_ticket_columns(manifest)
    events = manifest.data.events
    pieces = list_pieces(manifest.data, files)
    listed = spark.createDataFrame(
        spark.sparkContext.parallelize(pieces, len(pieces)),  # each is a task
        "number long, path string, first long, last long, before long",
    )
    reject = partial(reject_tickets, manifest, fields, at)
    schema = _make_row_schema(fields)
    if events is None:
        read = partial(read_pieces, manifest, fields, at)
        rows = map_frames(listed, lambda frames: reject(read(frames)), schema)
        return rows, rows
    raw = list_event_fields(manifest, at is not None)
    log = map_frames(listed, partial(read_pieces, manifest, raw, at), _make_row_schema(raw))
    placed = log.where(f"{REASON} = ''").repartition(_KEY).sortWithinPartitions(POSITION)
    collapse = partial(collapse_rows, manifest)
    tickets = map_frames(placed, lambda frames: reject(collapse(frames)), schema)
    lost = log.where(f"{REASON} != ''")
    return log, tickets.unionByName(lost.drop(*{*raw} - {*fields}), allowMissingColumns=True)


def list_pieces(policy: DataPolicy, files: list[str]) -> list[Piece]:
    """Split the files into the pieces that tasks read."""
    pieces = []
    for number, file in enumerate(files):
        groups = count_groups(policy, file)
        first = before = rows = 0
        for place, count in enumerate(groups, start=1):
            rows += count
            if rows >= PIECE_ROWS or place == len(groups):
                pieces.append(Piece(number, file, first, place, before))
                first, before, rows = place, before + rows, 0
        if not groups:
            pieces.append(Piece(number, file))
    return pieces


def map_frames(rows: DataFrame, work: Callable[[Frames], Frames], schema: pa.Schema) -> DataFrame:
    """Map frames to frames through Arrow: Spark's mapInPandas lacks pandas' text type."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for frame in work(batch.to_pandas() for batch in batches):
            if len(frame):
                yield to_batch(frame, schema)

    return rows.mapInArrow(run, from_arrow_schema(schema))


def _make_row_schema(fields: list[str]) -> pa.Schema:
    kinds = dict.fromkeys([*_PLACE, POSITION, _ROUND], pa.int64())
    kinds |= dict.fromkeys([*fields, _KEY, REASON, DETAIL], pa.string())
    return pa.schema(list(kinds.items()))


def read_pieces(
    manifest: Manifest, fields: list[str], at: pd.Timestamp | None, listed: Frames
) -> Frames:
    """Read pieces with the local engine's reader; malformed rows have a reason."""
    data, required = manifest.data, list_required_fields(manifest)
    columns = [*_PLACE, POSITION, _ROUND, *fields, _KEY, REASON, DETAIL]
    listed_rows = (row for frame in listed for row in frame.itertuples(index=False, name=None))
    for piece in starmap(Piece, listed_rows):
        before = piece.before
        groups = range(piece.first, piece.last) if piece.last else None
        for part in read_parts(data, required, fields, piece.path, groups):
            rows = part.parse()
            frame = rows.frame.assign(**{REASON: "", DETAIL: ""})
            if data.events is not None:
                good, bad = sort_events(frame, manifest, at)
                good[_KEY] = make_event_keys(good, manifest, piece.number, before)
                bad[_KEY] = bad["ticket_id"]
                frame = pd.concat([good, bad])
            malformed = list_malformed(rows.malformed)
            frame = pd.concat([frame, malformed]) if len(malformed) else frame
            frame[FILE], frame[_ROUND] = piece.number, 0
            frame[SOURCE_ROW] += before
            frame[POSITION] = (piece.number << _ROW_BITS) + frame[SOURCE_ROW]
            before += len(rows)
            yield frame.reindex(columns=columns)


def make_event_keys(events: pd.DataFrame, manifest: Manifest, file: int, before: int) -> pd.Series:
    """Give the ticket key of each event; an event without id gets one of its own in all files."""
    row = events[SOURCE_ROW].astype("str")
    own = f"{file} " + (events[SOURCE_ROW] + before).astype("str") + "\0"
    keys = ticket_keys(events.set_index(row), manifest.data).set_axis(events.index)
    return keys.where(~keys.str.endswith("\0"), own)


def collapse_rows(manifest: Manifest, frames: Frames) -> Frames:
    """Collapse all events of some tickets, in their order, into these tickets."""
    events = pd.concat(list(frames) or [pd.DataFrame()], ignore_index=True)
    if len(events):
        yield collapse_in_order(events, manifest).assign(**{_ROUND: 1})


def reject_tickets(
    manifest: Manifest, fields: list[str], at: pd.Timestamp | None, frames: Frames
) -> Frames:
    """Add the reason why a ticket cannot be scored; all keep their raw text."""
    for raw in frames:
        frame = raw.reset_index(drop=True)
        tickets = frame[frame[REASON] == ""]
        good, bad = sort_tickets(tickets[[*_PLACE, *fields]], manifest, fields, at)
        for name in (REASON, DETAIL):
            frame.loc[bad.index, name] = bad[name]
        frame[_KEY] = pd.concat([good["ticket_id"], bad["ticket_id"]]).reindex(frame.index)
        yield frame


def split_rows(rows: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Split tickets to score from rejected rows; of tickets with one id the first is scored.

    Returns
    -------
    good, bad : DataFrame
        The rejected rows in the local engine's order.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    rank = "rank_among_equal_ids"
    ranked = fn.row_number().over(Window.partitionBy(_KEY).orderBy(POSITION))
    good = rows.where(fn.col(REASON) == "").withColumn(rank, ranked)
    again = good.where(fn.col(rank) > 1)
    again = again.withColumns({_ROUND: fn.lit(2), REASON: fn.lit(DUPLICATE), DETAIL: fn.lit("")})
    columns: list[Column | str] = [
        *_PLACE, POSITION, _ROUND, fn.col(_KEY).alias("ticket_id"), REASON, DETAIL
    ]  # fmt: skip
    bad = rows.where(fn.col(REASON) != "").select(*columns).union(again.select(*columns))
    return good.where(fn.col(rank) == 1), bad.orderBy(_ROUND, POSITION)
