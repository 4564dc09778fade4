"""The Spark engine: the same rows, numbers and rejected rows as the local one, by many machines.

Files are read by the local engine's reader, one task for each; probabilities come from
``mlflow.pyfunc.spark_udf``; and what is made of them is laid out by the local engine's functions.
What the two engines must have in common, they have in common as code.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.decisions.policies import PerTicket, make_policy
from slarisk.errors import InputError
from slarisk.learning.features import make_features, read_numbers
from slarisk.scoring.bundle import ORIGIN, PROBABILITY, Judged, creation_days
from slarisk.scoring.export import (
    DUPLICATE,
    EXPORT_COLUMNS,
    EXPORT_PLAIN,
    as_array,
    lay_out_export,
)
from slarisk.scoring.intake import (
    DETAIL,
    FILE,
    REASON,
    list_malformed,
    needed_fields,
    sort_events,
    sort_tickets,
)
from slarisk.scoring.outputs import RejectedFile
from slarisk.scoring.spool import to_batch
from slarisk.scoring.tally import Tally
from slarisk.scoring.task import Task, check_share
from slarisk.scoring.write import is_parquet, replacing, told_errors
from slarisk.tickets.contract import check_policy, collapse_events, name_tickets, type_fields
from slarisk.tickets.files import find_files, name_file
from slarisk.tickets.read import read_parts
from slarisk.tickets.rows import SOURCE_LINE, SOURCE_ROW

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame, SparkSession

    from slarisk.config import Decision
    from slarisk.scoring.bundle import Manifest
    from slarisk.scoring.memory import Memory

_PLACE = (FILE, SOURCE_ROW, SOURCE_LINE)
_KEY, _NUMBER, _TALLY = "ticket_key", "number_of_", "tally"
_CLAIM = pa.schema(
    [
        ("day", pa.int64()),
        ("saving", pa.float64()),
        ("born", pa.int64()),
        ("claimant", pa.string()),
        ("gains", pa.bool_()),
        (_TALLY, pa.string()),
    ]
)
_CHUNK = 10_000  # rejected rows that are written together
_MISSING = (
    "engine=spark needs pyspark and a Java runtime of 17 or newer: make spark, or "
    "pip install '.[spark]'"
)


@dataclass(frozen=True, eq=False)
class Finish:
    """What it takes to lay the export out once the probabilities are known; no model."""

    manifest: Manifest
    memory: Memory
    known: Mapping[str, NDArray[np.object_]]
    decision: Decision
    rationed: bool
    version: str
    scored_at: str


def score_spark(task: Task, model_uri: str) -> Tally:
    """Score an export with Spark, into a folder of part files.

    Parameters
    ----------
    task : Task
        As for the local engine, but that the output is a folder.
    model_uri : str
        Where MLflow has the task's model.

    Raises
    ------
    InputError
        Spark is not installed, the export cannot be read, or too many of its rows are wrong.
    """
    files = find_files(task.source)
    check_policy(task.bundle.manifest.data)
    spark = open_session()
    with told_failures():
        read, rows = read_rows(spark, task.bundle.manifest, files)
        rows = rows.persist()
        good, wrong = part_rows(rows)
        tally = count_rows(task, files, read, rows, wrong)
        decided = decide_rows(spark, good, task, model_uri).persist()
        write_scored(task, decided, wrong, files, tally)
        for frame in (rows, decided):
            frame.unpersist()
    return tally


def open_session() -> SparkSession:
    """Open the session that Spark's own settings describe, or a local one.

    Raises
    ------
    InputError
        There is no pyspark, or no Java.
    """
    try:
        from pyspark import SparkConf, SparkContext
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise InputError(f"{_MISSING}.") from error
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    running = SparkSession.getActiveSession()
    if running is not None:
        return running
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise InputError(f"{_MISSING}. There is no java here.")
    try:
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        SparkContext._ensure_initialized()
        given = SparkConf()
        builder = SparkSession.builder.appName("slarisk")
        for key, value in _choose_settings(given.get("spark.master", None)).items():
            if not given.contains(key):
                builder = builder.config(key, value)
        if not sys.stderr.isatty():  # which Spark does not ask
            builder = builder.config("spark.ui.showConsoleProgress", "false")
        session: SparkSession = builder.getOrCreate()
    except PySparkException as error:
        raise InputError(f"{_MISSING}. Spark says: {_first_line(error)}") from error
    return session


def _choose_settings(master: str | None) -> dict[str, str]:
    """Settings that hold where the user has none.

    ``spark-submit`` says ``local[*]`` itself where nobody names a master.
    """
    settings = {
        "spark.log.level": "ERROR",
        "spark.sql.caseSensitive": "true",  # as fields are
        "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    }
    if master is None or master.startswith("local"):
        settings |= {
            "spark.master": "local[*]",
            "spark.log.level": "OFF",  # what fails is told in an exception, once
            "spark.ui.enabled": "false",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            # each part loads the model
            "spark.sql.shuffle.partitions": str(os.cpu_count() or 1),
        }
    return settings


@contextmanager
def told_failures() -> Iterator[None]:
    """Hand on what a task refused, without Spark's own words around it."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JJavaError) as error:  # the latter if several fail at once
        refused = re.search(r"slarisk\.errors\.InputError: (.+)", str(error))
        if refused is None:
            raise
        raise InputError(refused.group(1).strip()) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), repr(error))


# Reading ----------------------------------------------------------------------------------------


def read_rows(
    spark: SparkSession, manifest: Manifest, files: list[str]
) -> tuple[DataFrame, DataFrame]:
    """Read all rows of the files, and sort the tickets that they tell of.

    Returns
    -------
    read : DataFrame
        All rows, the events of a log too.
    rows : DataFrame
        Tickets with their place, raw text by field, and why they cannot be scored, if so; and rows
        that are no ticket.
    """
    fields = needed_fields(manifest)
    events = manifest.data.events
    listed = spark.createDataFrame(list(enumerate(files)), "number long, path string")
    listed = listed.repartitionByRange(len(files), "number")
    raw = fields if events is None else [*fields, events.order]
    read = map_frames(listed, partial(read_file, manifest, raw), _row_schema(raw, []))
    numbers = _number_fields(manifest)
    if events is None:
        sort = partial(sort_rows, manifest, fields)
        return read, map_frames(read, sort, _row_schema(fields, numbers))
    placed = read.where(f"{REASON} = ''").repartition(_KEY)
    collapse = partial(collapse_rows, manifest, fields)
    placed = placed.sortWithinPartitions(*_PLACE[:2])
    tickets = map_frames(placed, collapse, _row_schema(fields, numbers))
    lost = read.where(f"{REASON} != ''")
    return read, tickets.unionByName(lost.drop(events.order), allowMissingColumns=True)


def map_frames(
    rows: DataFrame, work: Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]], of: pa.Schema
) -> DataFrame:
    """Map tables to tables, through Arrow: Spark's own way does not know pandas' text."""
    from pyspark.sql.pandas.types import from_arrow_schema

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for frame in work(batch.to_pandas() for batch in batches):
            if len(frame):
                yield to_batch(frame, of)

    return rows.mapInArrow(run, from_arrow_schema(of))


def _row_schema(fields: list[str], numbers: list[str]) -> pa.Schema:
    kinds = dict.fromkeys(_PLACE, pa.int64())
    kinds |= dict.fromkeys([*fields, _KEY, REASON, DETAIL], pa.string())
    kinds |= {f"{_NUMBER}{name}": pa.float64() for name in numbers}
    return pa.schema(list(kinds.items()))


def _number_fields(manifest: Manifest) -> list[str]:
    """Fields that a model takes as numbers: its signature says so."""
    costs = (manifest.data.costs.breach, manifest.data.costs.escalation)
    return list(dict.fromkeys([*manifest.features.numeric, *filter(None, costs)]))


def read_file(
    manifest: Manifest, fields: list[str], listed: Iterator[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Read whole files with the local engine's reader; only rows that are none have a reason."""
    required = ["ticket_id", *manifest.required_fields()]
    required += [manifest.data.events.order] if manifest.data.events is not None else []
    for number, path in (
        pair for frame in listed for pair in zip(frame["number"], frame["path"], strict=True)
    ):
        before = 0
        for part in read_parts(manifest.data, required, fields, str(path)):
            rows = part.parse()
            frame = rows.frame.assign(**{REASON: "", DETAIL: ""})
            if manifest.data.events is not None:
                good, bad = sort_events(frame, manifest, fields)
                frame = pd.concat([good, bad])
                frame[_KEY] = name_events(good, manifest, int(number), before)
            wrong = list_malformed(rows.malformed)
            frame = pd.concat([frame, wrong]) if len(wrong) else frame
            frame[FILE] = number
            frame[SOURCE_ROW] += before
            before += len(rows)
            yield frame.reindex(columns=[*_PLACE, *fields, _KEY, REASON, DETAIL])


def name_events(events: pd.DataFrame, manifest: Manifest, file: int, before: int) -> pd.Series:
    """Name the ticket of each event; one without an id is a ticket of its own, in all files."""
    place = events[SOURCE_ROW].astype("str")
    alone = f"{file} " + (events[SOURCE_ROW] + before).astype("str") + "\0"
    named = name_tickets(events.set_index(place), manifest.data).set_axis(events.index)
    return named.where(~named.str.endswith("\0"), alone)


def sort_rows(
    manifest: Manifest, fields: list[str], frames: Iterator[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Say which tickets cannot be scored; all keep their raw text."""
    for raw in frames:
        frame = raw.reset_index(drop=True)
        asked = frame[frame[REASON] == ""]
        good, bad = sort_tickets(asked[[*_PLACE, *fields]], manifest, fields)
        for name in (REASON, DETAIL):
            frame.loc[bad.index, name] = bad[name]
        frame[_KEY] = pd.concat([good["ticket_id"], bad["ticket_id"]]).reindex(frame.index)
        for name in _number_fields(manifest):
            frame[f"{_NUMBER}{name}"] = read_numbers(frame, name)
        yield frame


def collapse_rows(
    manifest: Manifest, fields: list[str], frames: Iterator[pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Turn all events of some tickets into these tickets, and sort them."""
    events = pd.concat(list(frames) or [pd.DataFrame()], ignore_index=True)
    if len(events):
        tickets = collapse_events(events, manifest.data)
        yield from sort_rows(manifest, fields, iter([tickets]))


def part_rows(rows: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Part tickets to be scored from rejected rows; of several with one id the first is scored."""
    from pyspark.sql import Window
    from pyspark.sql import functions as fn

    order = Window.partitionBy(_KEY).orderBy(*_PLACE[:2])
    good = rows.where(fn.col(REASON) == "").withColumn("turn", fn.row_number().over(order))
    told: list[Column | str] = [*_PLACE, fn.col(_KEY).alias("ticket_id"), REASON, DETAIL]
    wrong = rows.where(fn.col(REASON) != "").select(*told, fn.lit(0).alias("late"))
    again = (
        good.where("turn > 1").withColumn(REASON, fn.lit(DUPLICATE)).withColumn(DETAIL, fn.lit(""))
    )
    return good.where("turn = 1"), wrong.union(again.select(*told, fn.lit(1).alias("late")))


def count_rows(
    task: Task, files: list[str], read: DataFrame, rows: DataFrame, wrong: DataFrame
) -> Tally:
    """Count what was read and what is rejected; refuse an export of which too much is."""
    reasons = Counter({row[0]: row[1] for row in wrong.groupBy(REASON).count().collect()})
    tickets = rows.count()
    is_log = task.bundle.manifest.data.events is not None
    tally = Tally(rows_in=read.count() if is_log else tickets, rejected=reasons)
    if not tally.rows_in:
        raise InputError(f"{name_file(task.source)}: there are no tickets in it, only a header.")
    first = wrong.orderBy("late", *_PLACE).first()
    check_share(task, reasons, tickets, files, None if first is None else first.asDict())
    return tally


# Scoring ----------------------------------------------------------------------------------------


def decide_rows(spark: SparkSession, good: DataFrame, task: Task, model_uri: str) -> DataFrame:
    """Score tickets with the model as MLflow has it, and lay the export out."""
    import mlflow
    from pyspark.sql import Window
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    manifest = task.bundle.manifest
    fields_of = {column: name for name, column in manifest.data.columns.items()}
    score = mlflow.pyfunc.spark_udf(spark, model_uri, env_manager="local")
    inputs = []
    for each in mlflow.models.get_model_info(model_uri).signature.inputs.inputs:
        name = fields_of[each.name]
        source = f"{_NUMBER}{name}" if name in _number_fields(manifest) else name
        inputs.append(fn.col(f"`{source}`").alias(each.name))
    scored = good.withColumn("decision", score(fn.struct(*inputs)))
    scored = scored.select("*", f"decision.{PROBABILITY}", f"decision.{ORIGIN}")
    bundle = task.bundle
    finish = Finish(
        manifest=manifest,
        memory=bundle.memory,
        known=bundle.known_categories(),
        decision=task.decision,
        rationed=task.per_day is not None,
        version=task.version,
        scored_at=task.scored_at,
    )
    schema = from_arrow_schema(pa.schema([*EXPORT_PLAIN, *_CLAIM]))
    decided = scored.drop("decision").mapInArrow(partial(lay_out, finish), schema)
    if task.per_day is None:
        return decided
    rank = fn.row_number().over(
        Window.partitionBy("day", "gains").orderBy(
            fn.desc("saving"), fn.asc_nulls_last("born"), fn.asc("claimant")
        )
    )
    return decided.withColumn("Escalate", fn.col("gains") & (rank <= task.per_day))


def lay_out(finish: Finish, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Lay out the export of scored rows, with their claims and what the model looked at."""
    manifest = finish.manifest
    fields = needed_fields(manifest)
    for batch in batches:
        frame = batch.to_pandas()
        tickets = type_fields(frame[fields], manifest.data, fields)
        met = finish.memory.recognise(tickets)
        dated = tickets.assign(created_at=finish.memory.creation_times(tickets, met))
        looks = make_features(dated, manifest.features)
        probability = frame[PROBABILITY].to_numpy(dtype=float)
        judged = Judged(dated, probability, frame[ORIGIN], looks, np.arange(len(frame)))
        costs = manifest.costs(dated)
        losses = costs.expected(probability)
        gains = PerTicket().decide(probability, costs)
        escalate = gains  # who is among those of a day, the ranks of all will tell
        if not finish.rationed:
            policy = make_policy(finish.decision, manifest.threshold)
            escalate = policy.decide(probability, costs)
        export = lay_out_export(
            manifest, judged, escalate, losses, finish.version, finish.scored_at
        )
        tally = Tally()
        tally.count_looks(manifest.profile, finish.known, judged)
        created = dated["created_at"].astype("datetime64[us]")
        claims = [
            pa.array(creation_days(dated)),
            pa.array(losses[0] - losses[1]),
            pa.array(created.astype("int64"), mask=created.isna().to_numpy()),
            as_array(tickets["ticket_id"]).cast(pa.string()),
            pa.array(gains),
            pa.array([tally.write_looks()] + [None] * (len(frame) - 1), pa.string()),
        ]
        columns = [*export.cast(EXPORT_PLAIN).columns, *map(as_array, claims)]
        yield pa.record_batch(columns, pa.schema([*EXPORT_PLAIN, *_CLAIM]))


# Writing ----------------------------------------------------------------------------------------


def write_scored(
    task: Task, decided: DataFrame, wrong: DataFrame, files: list[str], tally: Tally
) -> None:
    """Write both results beside their places, count them, and put them there."""
    assert task.output is not None
    output = task.output
    with told_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=output.parent, prefix=f".{output.name}.spool-"))
        try:
            with replacing([task.rejected], folder) as (rejected,):
                write_rejected(rejected, wrong, files)
                write_parts(decided, folder / "parts", is_parquet(output))
                count_scored(decided, tally)
                swap(folder / "parts", output, folder / "old")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def write_rejected(path: Path, wrong: DataFrame, files: list[str]) -> None:
    """Write the rejected rows into one file, in the local engine's order."""
    rows = wrong.orderBy("late", *_PLACE).drop("late")
    with RejectedFile(path, [name_file(file) for file in files]) as refused:
        held = []
        for row in rows.toLocalIterator():
            held.append(row.asDict())
            if len(held) == _CHUNK:
                refused.write(pd.DataFrame(held))
                held = []
        refused.write(pd.DataFrame(held))


def write_parts(decided: DataFrame, folder: Path, parquet: bool) -> None:
    """Write the export as part files."""
    from pyspark.sql import functions as fn

    export = decided.select(*(fn.col(f"`{name}`") for name in EXPORT_COLUMNS))
    if parquet:
        export.write.parquet(folder.absolute().as_uri())
        return
    for name in ("Is_SLA_Breach", "Escalate"):  # as the local engine writes them
        export = export.withColumn(name, fn.initcap(fn.col(name).cast("string")))
    export.write.csv(folder.absolute().as_uri(), header=True, quote='"', escape='"')


def count_scored(decided: DataFrame, tally: Tally) -> None:
    """Count what was written."""
    from pyspark.sql import functions as fn

    acted = fn.when(fn.col("Escalate"), fn.col("Expected_Loss_If_Escalated"))
    acted = acted.otherwise(fn.col("Expected_Loss_If_Left"))
    sums = decided.agg(
        fn.count("*"),
        fn.sum(fn.col("Is_SLA_Breach").isNull().cast("long")),
        fn.sum(fn.col("Escalate").cast("long")),
        fn.sum("Expected_Loss_If_Left"),
        fn.sum(acted),
    ).collect()[0]
    tally.scored, tally.still_open, tally.escalated = (int(each or 0) for each in sums[:3])
    tally.left, tally.acted = (float(each or 0) for each in sums[3:])
    for counter, name in ((tally.origins, "Score_Origin"), (tally.buckets, "Risk_Bucket")):
        counter.update({row[0]: row[1] for row in decided.groupBy(name).count().collect()})
    for row in decided.where(f"{_TALLY} is not null").select(_TALLY).toLocalIterator():
        tally.add_looks(row[0])


def swap(new: Path, output: Path, old: Path) -> None:
    """Put a finished folder in the place of an older result; if that fails, the older one stays."""
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except BaseException:
        if old.exists():
            old.rename(output)
        raise
