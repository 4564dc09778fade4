"""The rows of an export in Spark: read, sorted and parted by the local engine's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pandas as pd
import pyarrow as pa

from slarisk.learning.features import read_numbers
from slarisk.model.inputs import list_inputs
from slarisk.scoring.eventlog import POSITION
from slarisk.scoring.export import DUPLICATE
from slarisk.scoring.export_reader import (
    DETAIL,
    FILE,
    REASON,
    list_malformed,
    needed_fields,
    sort_events,
    sort_tickets,
)
from slarisk.scoring.spool import to_batch
from slarisk.tickets.contract import collapse_events, ticket_keys
from slarisk.tickets.read import count_groups, read_parts
from slarisk.tickets.rows import SOURCE_LINE, SOURCE_ROW

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from slarisk.config import DataPolicy
    from slarisk.model.bundle import Manifest

Frames: TypeAlias = Iterator[pd.DataFrame]

PIECE_ROWS = 1 << 20  # of a Parquet file, about, that are read by one task
_PLACE = (FILE, SOURCE_ROW, SOURCE_LINE)
_KEY, _NUMBER = "ticket_key", "number_of_"
_ROUND = "told_in_round"  # rejected rows are told in rounds, as the local engine finds them
_FILE_BITS = 40  # of a position, for the row; those above are the file's number


class Piece(NamedTuple):
    """What a task reads: a file, or the row groups ``first`` to ``last - 1`` of a Parquet file.

    ``number`` is the file's among all; ``last`` 0 means all of it; ``before`` says how many of its
    rows come before.
    """

    number: int
    path: str
    first: int = 0
    last: int = 0
    before: int = 0


def read_rows(
    spark: SparkSession, manifest: Manifest, files: list[str]
) -> tuple[DataFrame, DataFrame]:
    """Read all rows of the files, and sort the tickets that they tell of.

    Returns
    -------
    read : DataFrame
        All rows: the tickets, or the events of a log.
    rows : DataFrame
        Tickets with their place, raw text by field, and why they cannot be scored, if so; and rows
        that are no ticket.
    """
    fields = needed_fields(manifest)
    events = manifest.data.events
    pieces = list_pieces(manifest.data, files)
    listed = spark.createDataFrame(
        spark.sparkContext.parallelize(pieces, len(pieces)),  # each is a task
        "number long, path string, first long, last long, before long",
    )
    sort = partial(sort_rows, manifest, fields)
    schema = _row_schema(fields, number_fields(manifest))
    if events is None:
        read = partial(read_pieces, manifest, fields)
        rows = map_frames(listed, lambda frames: sort(read(frames)), schema)
        return rows, rows
    raw = list(dict.fromkeys([*fields, events.order]))
    log = map_frames(listed, partial(read_pieces, manifest, raw), _row_schema(raw, []))
    placed = log.where(f"{REASON} = ''").repartition(_KEY).sortWithinPartitions(POSITION)
    collapse = partial(collapse_rows, manifest)
    tickets = map_frames(placed, lambda frames: sort(collapse(frames)), schema)
    lost = log.where(f"{REASON} != ''").select(*_row_schema(fields, []).names)
    return log, tickets.unionByName(lost, allowMissingColumns=True)


def list_pieces(policy: DataPolicy, files: list[str]) -> list[Piece]:
    """Part the files into what tasks read."""
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


def map_frames(rows: DataFrame, work: Callable[[Frames], Frames], of: pa.Schema) -> DataFrame:
    """Map tables to tables, through Arrow: Spark's own way does not know pandas' text."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for frame in work(batch.to_pandas() for batch in batches):
            if len(frame):
                yield to_batch(frame, of)

    return rows.mapInArrow(run, from_arrow_schema(of))


def _row_schema(fields: list[str], numbers: list[str]) -> pa.Schema:
    kinds = dict.fromkeys([*_PLACE, POSITION, _ROUND], pa.int64())
    kinds |= dict.fromkeys([*fields, _KEY, REASON, DETAIL], pa.string())
    kinds |= {name_number(name): pa.float64() for name in numbers}
    return pa.schema(list(kinds.items()))


def number_fields(manifest: Manifest) -> list[str]:
    """Name the fields that a model takes as numbers: its signature says so."""
    return [each.field for each in list_inputs(manifest) if each.number]


def name_number(field: str) -> str:
    """Name the column that has a field as a number."""
    return f"{_NUMBER}{field}"


def read_pieces(manifest: Manifest, fields: list[str], listed: Frames) -> Frames:
    """Read pieces with the local engine's reader; only rows that are none have a reason."""
    data = manifest.data
    required = ["ticket_id", *manifest.required_fields()]
    required += [data.events.order] if data.events is not None else []
    columns = [*_PLACE, POSITION, _ROUND, *fields, _KEY, REASON, DETAIL]
    told = (values for frame in listed for values in frame.itertuples(index=False, name=None))
    for piece in starmap(Piece, told):
        before = piece.before
        groups = range(piece.first, piece.last) if piece.last else None
        for part in read_parts(data, required, fields, piece.path, groups):
            rows = part.parse()
            frame = rows.frame.assign(**{REASON: "", DETAIL: ""})
            if data.events is not None:
                good, bad = sort_events(frame, manifest, fields)
                good[_KEY] = name_events(good, manifest, piece.number, before)
                bad[_KEY] = bad["ticket_id"]
                frame = pd.concat([good, bad])
            wrong = list_malformed(rows.malformed)
            frame = pd.concat([frame, wrong]) if len(wrong) else frame
            frame[FILE], frame[_ROUND] = piece.number, 0
            frame[SOURCE_ROW] += before
            frame[POSITION] = (piece.number << _FILE_BITS) + frame[SOURCE_ROW]
            before += len(rows)
            yield frame.reindex(columns=columns)


def name_events(events: pd.DataFrame, manifest: Manifest, file: int, before: int) -> pd.Series:
    """Name the ticket of each event; one without an id is a ticket of its own, in all files."""
    place = events[SOURCE_ROW].astype("str")
    alone = f"{file} " + (events[SOURCE_ROW] + before).astype("str") + "\0"
    named = ticket_keys(events.set_index(place), manifest.data).set_axis(events.index)
    return named.where(~named.str.endswith("\0"), alone)


def collapse_rows(manifest: Manifest, frames: Frames) -> Frames:
    """Turn all events of some tickets, in their order, into these tickets.

    A ticket stands where its first event in the files does.
    """
    events = pd.concat(list(frames) or [pd.DataFrame()], ignore_index=True)
    if len(events):
        first = ~ticket_keys(events, manifest.data).duplicated()
        tickets = collapse_events(events, manifest.data)
        tickets[POSITION], tickets[_ROUND] = events.loc[first, POSITION].to_numpy(), 1
        yield tickets


def sort_rows(manifest: Manifest, fields: list[str], frames: Frames) -> Frames:
    """Say which tickets cannot be scored; all keep their raw text."""
    for raw in frames:
        frame = raw.reset_index(drop=True)
        asked = frame[frame[REASON] == ""]
        good, bad = sort_tickets(asked[[*_PLACE, *fields]], manifest, fields)
        for name in (REASON, DETAIL):
            frame.loc[bad.index, name] = bad[name]
        frame[_KEY] = pd.concat([good["ticket_id"], bad["ticket_id"]]).reindex(frame.index)
        for name in number_fields(manifest):
            frame[name_number(name)] = read_numbers(frame, name)
        yield frame


def part_rows(rows: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Part tickets to be scored from rejected rows; of several with one id the first is scored.

    Returns
    -------
    good, wrong : DataFrame
        The rejected rows in the local engine's order.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    turn = "turn_among_equal_ids"
    first_come = fn.row_number().over(Window.partitionBy(_KEY).orderBy(POSITION))
    good = rows.where(fn.col(REASON) == "").withColumn(turn, first_come)
    again = good.where(fn.col(turn) > 1)
    again = again.withColumns({_ROUND: fn.lit(2), REASON: fn.lit(DUPLICATE), DETAIL: fn.lit("")})
    told: list[Column | str] = [
        *_PLACE, POSITION, _ROUND, fn.col(_KEY).alias("ticket_id"), REASON, DETAIL
    ]  # fmt: skip
    wrong = rows.where(fn.col(REASON) != "").select(*told).union(again.select(*told))
    return good.where(fn.col(turn) == 1), wrong.orderBy(_ROUND, POSITION)
