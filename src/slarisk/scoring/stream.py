"""The local engine: score an export of any size window by window, with little memory.

The export is read once into files, so that rejected rows, repeated ids and each day's candidates
are known before the first row is written: no result depends on how the export is cut into parts.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.atomic_files import explain_os_errors, replace_files
from slarisk.config import Moment
from slarisk.decisions.shortlist import Candidates, Shortlist
from slarisk.exports.files import count_bytes, find_files
from slarisk.scoring.decided import decide_tickets, look_at
from slarisk.scoring.export import build_export_rows
from slarisk.scoring.export_reader import ReadExport, read_export
from slarisk.scoring.history import record_export, remember
from slarisk.scoring.output_files import is_parquet
from slarisk.scoring.output_formats import format_rows, open_export
from slarisk.scoring.rejections import DETAIL, REASON, open_rejected
from slarisk.scoring.score_cache import ScoreCache
from slarisk.scoring.spool import Spool, open_spool_folder
from slarisk.scoring.summary import ScoringSummary
from slarisk.scoring.task import Task, validate_rejected_share
from slarisk.scoring.threads import map_ahead
from slarisk.tickets.left_out import DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.scoring.output_formats import FormattedRows
    from slarisk.scoring.score_cache import Codes

WINDOW = 1 << 16  # tickets that are scored together


@dataclass(frozen=True, eq=False)
class Window:
    """Tickets that are scored together: their export, and the rows of repeated ids.

    ``candidates`` are the tickets that a joint policy escalates among those of the window.
    """

    batch: pa.RecordBatch
    repeated: pd.DataFrame = field(default_factory=pd.DataFrame)
    candidates: Candidates | None = None
    summary: ScoringSummary = field(default_factory=ScoringSummary)


def score_stream(task: Task) -> ScoringSummary:
    """Score an export and write its two files: both complete, or none.

    Raises
    ------
    InputError
        The export cannot be read, too many of its rows are rejected, or a file cannot be written.
    """
    neighbour = task.output or task.rejected
    with ExitStack() as opened:
        with explain_os_errors(neighbour):
            folder = opened.enter_context(open_spool_folder(neighbour))
            cache = ScoreCache(task.bundle.model.calibrate, folder / "codes")
            with _show_progress("reading", "B", count_bytes(find_files(task.source))) as progress:
                # with context, the features of a ticket take all tickets to be there
                manifest = task.bundle.manifest
                context = manifest.has_context
                # and those of an open ticket the moment at which the export was taken
                late = context or manifest.moment is Moment.open
                read_into = None if late else cache
                export = read_export(task.bundle, read_into, task.source, folder, progress, task.at)
            first = next(export.rejected.read(1), None)
            validate_rejected_share(
                task,
                export.reasons,
                export.reasons.total() + export.scored,
                export.files,
                None if first is None else first.to_pylist()[0],
            )
            remembered = None
            if context:
                own = record_export(task.bundle.manifest, export)
                task, remembered = remember(task, own, folder)
            task = replace(task, at=export.days.find_latest() if task.at is None else task.at)
            if late:
                for table in export.tickets.read(WINDOW):
                    tickets = look_at(task, table.to_pandas())
                    cache.add(cache.encode(task.bundle.make_features(tickets)))
            targets = [task.rejected, *([task.output] if task.output else [])]
            rejected, *outputs = opened.enter_context(replace_files(targets, folder))
            output = outputs[0] if outputs else folder / "output"
            summary = write_export(task, export, cache, folder, output, rejected)
            summary.as_of = task.format_moment()
            if remembered is not None:
                remembered.tell(summary)
        if task.output is None:
            with output.open("rb") as finished:
                shutil.copyfileobj(finished, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    return summary


@contextmanager
def _show_progress(what: str, unit: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal; gives a function that takes how much is done in all."""
    from tqdm import tqdm

    with tqdm(
        desc=what,
        total=total,
        unit=unit,
        unit_scale=True,
        disable=not sys.stderr.isatty(),
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield lambda done: bar.update(done - bar.n)


def write_export(
    task: Task, export: ReadExport, cache: ScoreCache, folder: Path, output: Path, rejected: Path
) -> ScoringSummary:
    """Score the tickets that were read, decide about each, and write both files."""
    summary = ScoringSummary(rows_in=export.rows, rejected=export.reasons)
    parquet = task.output is not None and is_parquet(task.output)
    with (
        _show_progress("scoring", " tickets", export.scored) as progress,
        open_export(output, parquet) as write,
        open_rejected(rejected, export.files) as write_rejected,
    ):
        for table in export.rejected.read(WINDOW):
            write_rejected(table.to_pandas())
        cache.score()
        windows = map_ahead(partial(decide_window, task, export, cache), _cut(export, cache))
        if task.policy.joint:
            windows = decide_jointly(windows, task.policy, folder)
        for window, rows in map_ahead(partial(_format_window, parquet), windows):
            write(rows)
            write_rejected(window.repeated)
            summary.add(window.summary)
            progress(summary.scored)
    return summary


def _cut(export: ReadExport, cache: ScoreCache) -> Iterator[tuple[int, pa.Table, Codes]]:
    """Cut the tickets into windows: the position of the first, the tickets, their codes."""
    start = 0
    for table, codes in zip(export.tickets.read(WINDOW), cache.read(WINDOW), strict=True):
        yield start, table, codes
        start += len(table)


def decide_window(
    task: Task, export: ReadExport, cache: ScoreCache, cut: tuple[int, pa.Table, Codes]
) -> Window:
    """Score the tickets of a window and decide about them, those with a repeated id left out."""
    start, table, codes = cut
    frame = table.to_pandas()
    before, after = np.searchsorted(export.repeated, [start, start + len(frame)])
    again = np.zeros(len(frame), dtype=np.bool_)
    again[export.repeated[before:after] - start] = True
    repeated = frame[again].assign(**{REASON: DUPLICATE, DETAIL: ""})
    kept = frame[~again].reset_index(drop=True) if len(repeated) else frame
    features = cache.look_up(codes[~again], lambda: task.bundle.make_features(look_at(task, kept)))
    decided = decide_tickets(task, kept, features)
    candidates = decided.take_candidates(start - before) if task.policy.joint else None
    window = Window(build_export_rows(decided), repeated, candidates)
    window.summary.count_features(task.bundle, decided.scored)
    return window


def decide_jointly(
    windows: Iterable[Window], policy: DecisionPolicy, folder: Path
) -> Iterator[Window]:
    """Collect the candidates of all windows, then set who is escalated."""
    shortlist = Shortlist(policy)
    spool = Spool(folder / "decided")
    for window in windows:
        assert window.candidates is not None
        spool.write(window.batch)
        shortlist.add(window.candidates)
        yield replace(window, batch=window.batch.slice(0, 0))  # rejected rows and counts go ahead
    start = 0
    for table in spool.read(WINDOW):
        for batch in table.to_batches():
            chosen = pa.array(shortlist.escalate(start, len(batch)))
            column = batch.schema.get_field_index("Escalate")
            yield Window(batch.set_column(column, "Escalate", chosen))
            start += len(batch)


def _format_window(parquet: bool, window: Window) -> tuple[Window, FormattedRows]:
    """Count a window's export, and format it for the file."""
    window.summary.count_export(window.batch)
    return window, format_rows(window.batch, parquet)
