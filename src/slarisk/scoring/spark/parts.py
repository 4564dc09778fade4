"""Write the results of Spark: a folder of part files, and a file of rejected rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from slarisk.atomic_files import explain_os_errors
from slarisk.errors import InputError
from slarisk.exports.files import name_file
from slarisk.scoring.export import EXPORT_COLUMNS
from slarisk.scoring.output_formats import format_rows, open_export
from slarisk.scoring.rejections import open_rejected
from slarisk.scoring.spark.decisions import SUMMARY
from slarisk.scoring.summary import ScoringSummary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CHUNK = 10_000  # rejected rows that are written together
_WRITTEN = pa.schema([("part", pa.string()), (SUMMARY, pa.string())])


def write_rejected_rows(bad: DataFrame, path: Path, files: list[str]) -> None:
    """Write the rejected rows into one file, in their order."""
    with open_rejected(path, [name_file(file) for file in files]) as write:
        rows = (row.asDict() for row in bad.toLocalIterator())
        while chunk := list(islice(rows, _CHUNK)):
            write(pd.DataFrame(chunk))


def write_parts(decided: DataFrame, folder: Path, output: Path, parquet: bool) -> ScoringSummary:
    """Write the export as part files, one per task, and count it.

    Parameters
    ----------
    decided : DataFrame
        The export, with SUMMARY.
    folder : Path
        For the part files.
    output : Path
        Named in messages.
    parquet : bool
        Write Parquet, else CSV.

    Raises
    ------
    InputError
        A part cannot be written.
    """
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    folder = folder.absolute()
    folder.mkdir()
    export = decided.select(*(fn.col(f"`{name}`") for name in (*EXPORT_COLUMNS, SUMMARY)))
    write = partial(write_part, folder, output, parquet)
    summary = ScoringSummary()
    written = export.mapInArrow(write, from_arrow_schema(_WRITTEN)).collect()
    for _, counts in sorted(written):
        summary.add(ScoringSummary.from_json(counts))
    if not written:
        with open_export(folder / name_part(0, parquet), parquet):
            pass  # only the header
    return summary


def name_part(number: int, parquet: bool) -> str:
    """Name a part file."""
    return f"part-{number:05}.{'parquet' if parquet else 'csv'}"


def write_part(
    folder: Path, output: Path, parquet: bool, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the rows of a task, if it has any; gives the name of the file and its summary."""
    from pyspark import TaskContext

    first = next(batches, None)
    context = TaskContext.get()
    if first is None or context is None:
        return
    name = name_part(context.partitionId(), parquet)
    # a task may be tried twice, also at the same time
    unfinished = folder / f".{name}.{context.taskAttemptId()}"
    summary = ScoringSummary()
    if not folder.is_dir():
        raise InputError(f"{output}: must lie where all machines of the cluster see it.")
    with explain_os_errors(output):
        with open_export(unfinished, parquet) as write:
            for batch in chain([first], batches):
                export = batch.select(EXPORT_COLUMNS)
                write(format_rows(export, parquet))
                summary.count_export(export)
                for features in batch[SUMMARY].drop_null().to_pylist():
                    summary.add(ScoringSummary.from_json(features))
        os.replace(unfinished, folder / name)
    yield pa.record_batch([[name], [summary.to_json()]], _WRITTEN)


def restore_folder(output: Path) -> None:
    """Restore an older result that a killed run had moved aside."""
    for old in output.parent.glob(f".{output.name}.spool-*/old"):
        if not output.exists():
            old.rename(output)


def replace_folder(new: Path, output: Path, old: Path) -> None:
    """Replace an older result by a new folder; if that fails, the older one stays."""
    if output.exists():
        output.rename(old)
    try:
        new.rename(output)
    except BaseException:
        if old.exists():
            old.rename(output)
        raise
