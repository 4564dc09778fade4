"""Score an export with Spark.

Files are read by the local engine's reader, piece by piece; probabilities come from
``mlflow.pyfunc.spark_udf``; and what is made of them is laid out and written by the local engine's
functions. What the two engines must have in common, they have in common as code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from slarisk.atomic_files import explain_os_errors, replacing
from slarisk.errors import InputError
from slarisk.scoring.export import DUPLICATE
from slarisk.scoring.export_reader import REASON
from slarisk.scoring.output_files import is_parquet
from slarisk.scoring.spark.decisions import decide_jointly, decide_rows
from slarisk.scoring.spark.parts import put_back, swap, write_parts, write_rejected
from slarisk.scoring.spark.rows import part_rows, read_rows
from slarisk.scoring.spark.session import explain_spark_failures, open_session
from slarisk.scoring.spool import spooling
from slarisk.scoring.summary import ScoringSummary
from slarisk.scoring.task import Task, validate_rejected_share
from slarisk.tickets.contract import validate_policy
from slarisk.tickets.files import STDIN, find_files, name_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def score_spark(task: Task, model_uri: str) -> ScoringSummary:
    """Score an export with Spark, into a folder of part files and a file of rejected rows.

    Parameters
    ----------
    task : Task
        As for the local engine, but that the output is a folder.
    model_uri : str
        Where MLflow has the task's model.

    Raises
    ------
    InputError
        Spark is not installed, the export cannot be read, too many of its rows are wrong, or the
        output cannot be written.
    """
    assert task.output is not None
    if task.source == STDIN:
        raise InputError(
            "input=-: standard input is for engine=local; name files that Spark finds."
        )
    manifest, output = task.bundle.manifest, task.output
    files = find_files(task.source)
    validate_policy(manifest.data)
    spark = open_session()
    with ExitStack() as opened:
        opened.enter_context(explain_spark_failures())
        read, rows = read_rows(spark, manifest, files)
        opened.enter_context(_kept(rows))
        if read is not rows:
            opened.enter_context(_kept(read))
        good, wrong = part_rows(rows)
        tally = count_rows(task, files, read, rows, wrong)
        decided = decide_rows(spark, good, task, model_uri)
        if task.policy.joint:
            opened.enter_context(_kept(decided))
            decided = decide_jointly(decided, task.policy)
        opened.enter_context(explain_os_errors(output))
        put_back(output)
        folder = opened.enter_context(spooling(output))
        (rejected,) = opened.enter_context(replacing([task.rejected], folder))
        write_rejected(wrong, rejected, files)
        tally.add(write_parts(decided, folder / "parts", output, is_parquet(output)))
        swap(folder / "parts", output, folder / "old")
    return tally


@contextmanager
def _kept(frame: DataFrame) -> Iterator[None]:
    """Keep what a frame holds once it is known: it is looked at more than once."""
    frame.persist()
    try:
        yield
    finally:
        frame.unpersist()


def count_rows(
    task: Task, files: list[str], read: DataFrame, rows: DataFrame, wrong: DataFrame
) -> ScoringSummary:
    """Count what was read and what is rejected; refuse an export of which too much is."""
    tickets = rows.count()
    rows_in = tickets if read is rows else read.count()
    if not rows_in:
        raise InputError(f"{name_file(task.source)}: there are no tickets in it, only a header.")
    reasons = Counter({row[0]: row[1] for row in wrong.groupBy(REASON).count().collect()})
    first = wrong.where(f"{REASON} != '{DUPLICATE}'").first()  # a repeated row was right in itself
    validate_rejected_share(
        task, reasons, tickets, files, None if first is None else first.asDict()
    )
    return ScoringSummary(rows_in=rows_in, rejected=reasons)
