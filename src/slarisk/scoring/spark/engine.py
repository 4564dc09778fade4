"""Score an export with Spark.

Rows are read, rejected, scored, decided about and written by the functions of the local engine;
Spark distributes them over tasks and finds repeated ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from slarisk.atomic_files import explain_os_errors, replace_files
from slarisk.errors import InputError
from slarisk.exports.files import STDIN, find_files, name_file
from slarisk.scoring.history import remember
from slarisk.scoring.output_files import is_parquet
from slarisk.scoring.rejections import REASON
from slarisk.scoring.spark.days import find_latest_time
from slarisk.scoring.spark.decisions import decide_joint_rows, decide_rows
from slarisk.scoring.spark.history import collect_history
from slarisk.scoring.spark.parts import (
    replace_folder,
    restore_folder,
    write_parts,
    write_rejected_rows,
)
from slarisk.scoring.spark.rows import read_rows, split_rows
from slarisk.scoring.spark.session import explain_spark_failures, open_session
from slarisk.scoring.spool import open_spool_folder
from slarisk.scoring.summary import ScoringSummary
from slarisk.scoring.task import Task, validate_rejected_share
from slarisk.tickets.fields import validate_policy
from slarisk.tickets.left_out import DUPLICATE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def score_spark(task: Task) -> ScoringSummary:
    """Score an export with Spark, into a folder of part files and a file of rejected rows.

    Parameters
    ----------
    task : Task
        As for the local engine, except that the output is a folder.

    Raises
    ------
    InputError
        Spark is not installed, the export cannot be read, too many of its rows are rejected, or
        the output cannot be written.
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
        read, rows = read_rows(spark, manifest, files, task.at)
        opened.enter_context(_persisted(rows))
        if read is not rows:
            opened.enter_context(_persisted(read))
        good, bad = split_rows(rows)
        summary = count_rows(task, files, read, rows, bad)
        opened.enter_context(explain_os_errors(output))
        restore_folder(output)
        folder = opened.enter_context(open_spool_folder(output))
        if manifest.has_context:
            task, remembered = remember(task, collect_history(good, manifest), folder)
            remembered.tell(summary)
        if task.at is None:
            task = replace(task, at=find_latest_time(rows.where(f"{REASON} = ''"), manifest))
        summary.as_of = task.format_moment()
        decided = decide_rows(good, task)
        if task.policy.joint:
            opened.enter_context(_persisted(decided))
            decided = decide_joint_rows(decided, task.policy)
        (rejected,) = opened.enter_context(replace_files([task.rejected], folder))
        write_rejected_rows(bad, rejected, files)
        summary.add(write_parts(decided, folder / "parts", output, is_parquet(output)))
        replace_folder(folder / "parts", output, folder / "old")
    return summary


@contextmanager
def _persisted(frame: DataFrame) -> Iterator[None]:
    """Persist a frame that is read more than once."""
    frame.persist()
    try:
        yield
    finally:
        frame.unpersist()


def count_rows(
    task: Task, files: list[str], read: DataFrame, rows: DataFrame, bad: DataFrame
) -> ScoringSummary:
    """Count the rows read and rejected; raise if too many are rejected."""
    tickets = rows.count()
    rows_in = tickets if read is rows else read.count()
    if not rows_in:
        raise InputError(f"{name_file(task.source)}: there are no tickets in it, only a header.")
    reasons = Counter({row[0]: row[1] for row in bad.groupBy(REASON).count().collect()})
    first = bad.where(f"{REASON} != '{DUPLICATE}'").first()  # as the local engine: repeats are last
    validate_rejected_share(
        task, reasons, tickets, files, None if first is None else first.asDict()
    )
    return ScoringSummary(rows_in=rows_in, rejected=reasons)
