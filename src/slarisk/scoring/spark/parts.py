"""The results of Spark: a folder of part files and a file of rejected rows, as the local ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from slarisk.atomic_files import explain_os_errors
from slarisk.errors import InputError
from slarisk.scoring.export import EXPORT_COLUMNS
from slarisk.scoring.output_formats import RejectedFile, format_csv, format_parquet, open_export
from slarisk.scoring.spark.decisions import TALLY
from slarisk.scoring.summary import ScoringSummary
from slarisk.tickets.files import name_file

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_CHUNK = 10_000  # rejected rows that are written together
_WRITTEN = pa.schema([("part", pa.string()), (TALLY, pa.string())])


def write_rejected(wrong: DataFrame, path: Path, files: list[str]) -> None:
    """Write the rejected rows into one file, in their order."""
    with RejectedFile(path, [name_file(file) for file in files]) as refused:
        held = []
        for row in wrong.toLocalIterator():
            held.append(row.asDict())
            if len(held) == _CHUNK:
                refused.write(pd.DataFrame(held))
                held = []
        refused.write(pd.DataFrame(held))


def write_parts(decided: DataFrame, folder: Path, output: Path, parquet: bool) -> ScoringSummary:
    """Write the export as part files, a task each, and count it.

    Parameters
    ----------
    decided : DataFrame
        The export, with TALLY.
    folder : Path
        Where the parts go.
    output : Path
        What they are, in messages.
    parquet : bool
        Whether they are Parquet, or CSV.

    Raises
    ------
    InputError
        A part cannot be written.
    """
    from pyspark.sql import functions as fn
    from pyspark.sql.pandas.types import from_arrow_schema

    folder = folder.absolute()
    folder.mkdir()
    export = decided.select(*(fn.col(f"`{name}`") for name in (*EXPORT_COLUMNS, TALLY)))
    write = partial(write_part, folder, output, parquet)
    tally = ScoringSummary()
    written = export.mapInArrow(write, from_arrow_schema(_WRITTEN)).collect()
    for _, counted in sorted(written):
        tally.add(ScoringSummary.read(counted))
    if not written:
        with open_export(folder / name_part(0, parquet), parquet):
            pass  # no more than its columns
    return tally


def name_part(number: int, parquet: bool) -> str:
    """Name a part file."""
    return f"part-{number:05}.{'parquet' if parquet else 'csv'}"


def write_part(
    folder: Path, output: Path, parquet: bool, batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the rows of a task, if it has any, as the local engine writes them."""
    from pyspark import TaskContext

    first = next(batches, None)
    context = TaskContext.get()
    if first is None or context is None:
        return
    name = name_part(context.partitionId(), parquet)
    begun = folder / f".{name}.{context.taskAttemptId()}"  # a task may be tried twice, or by two
    form = format_parquet if parquet else format_csv
    tally = ScoringSummary()
    if not folder.is_dir():
        raise InputError(f"{output}: must lie where all machines of the cluster see it.")
    with explain_os_errors(output):
        with open_export(begun, parquet) as write:
            for batch in chain([first], batches):
                export = batch.select(EXPORT_COLUMNS)
                write(form(export))
                tally.count_export(export)
                for looks in batch[TALLY].drop_null().to_pylist():
                    tally.add(ScoringSummary.read(looks))
        os.replace(begun, folder / name)
    yield pa.record_batch([[name], [tally.write()]], _WRITTEN)


def put_back(output: Path) -> None:
    """Put an older result back that a machine had moved aside when it died."""
    for old in output.parent.glob(f".{output.name}.spool-*/old"):
        if not output.exists():
            old.rename(output)


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
