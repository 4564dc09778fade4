"""The local engine: an export of any size is scored part by part, with little memory.

It is read once and waits on disk, so that wrong rows, repeated ids and a day's capacity are known
before the first row is written: no result depends on how the export is cut into parts.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.atomic_files import explain_os_errors, replacing
from slarisk.decisions.shortlist import Candidates, Shortlist
from slarisk.scoring.export import DUPLICATE, build_export_rows
from slarisk.scoring.export_reader import DETAIL, REASON, ReadExport, read_export_parts
from slarisk.scoring.output_files import is_parquet
from slarisk.scoring.output_formats import RejectedFile, format_csv, format_parquet, open_export
from slarisk.scoring.progress import show_progress
from slarisk.scoring.score_cache import ScoreCache
from slarisk.scoring.spool import Spool, spooling
from slarisk.scoring.summary import ScoringSummary
from slarisk.scoring.task import Task, validate_rejected_share
from slarisk.scoring.threads import map_ahead
from slarisk.tickets.contract import take_facts
from slarisk.tickets.files import count_bytes, find_files

if TYPE_CHECKING:
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.scoring.output_formats import Formed
    from slarisk.scoring.score_cache import Codes

WINDOW = 1 << 16  # tickets that are scored together


@dataclass(frozen=True, eq=False)
class Window:
    """Tickets that are scored together: their export, and those whose id had come before.

    ``candidates`` are those that a joint policy would escalate if the export held no others.
    """

    batch: pa.RecordBatch
    repeated: pd.DataFrame = field(default_factory=pd.DataFrame)
    candidates: Candidates | None = None
    tally: ScoringSummary = field(default_factory=ScoringSummary)


def score_stream(task: Task) -> ScoringSummary:
    """Score an export and write its two files: both whole, or none.

    Raises
    ------
    InputError
        The export cannot be read, too many of its rows are wrong, or a file cannot be written.
    """
    beside = task.output or task.rejected
    with ExitStack() as opened:
        with explain_os_errors(beside):
            folder = opened.enter_context(spooling(beside))
            recall = ScoreCache(task.bundle.model.calibrate, folder / "numbers")
            intake = read_export(task, recall, folder)
            validate_rejected(task, intake)
            targets = [task.rejected, *([task.output] if task.output else [])]
            rejected, *output = opened.enter_context(replacing(targets, folder))
            part = output[0] if output else folder / "output"
            tally = write_export(task, intake, recall, folder, part, rejected)
        if task.output is None:
            with part.open("rb") as finished:
                shutil.copyfileobj(finished, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    return tally


def read_export(task: Task, recall: ScoreCache, folder: Path) -> ReadExport:
    """Take the export in."""
    total = count_bytes(find_files(task.source))
    with show_progress("reading", "B", total) as tell:
        return read_export_parts(task.bundle, recall, task.source, folder, tell)


def validate_rejected(task: Task, intake: ReadExport) -> None:
    """Refuse to score an export of which too much is wrong."""
    first = next(intake.rejected.read(1), None)
    row = None if first is None else first.to_pylist()[0]
    rows = intake.reasons.total() + intake.scored
    validate_rejected_share(task, intake.reasons, rows, intake.files, row)


def write_export(
    task: Task, intake: ReadExport, recall: ScoreCache, folder: Path, output: Path, rejected: Path
) -> ScoringSummary:
    """Score the tickets that wait, decide about each, and write what came of it."""
    tally = ScoringSummary(rows_in=intake.rows, rejected=intake.reasons)
    parquet = task.output is not None and is_parquet(task.output)
    form = format_parquet if parquet else format_csv
    with (
        show_progress("scoring", " tickets", intake.scored) as tell,
        open_export(output, parquet) as write,
        RejectedFile(rejected, intake.files) as refused,
    ):
        for table in intake.rejected.read(WINDOW):
            refused.write(table.to_pandas())
        recall.score()
        waiting = zip(intake.tickets.read(WINDOW), recall.read(WINDOW), strict=True)
        windows = map_ahead(partial(decide_window, task, intake, recall), _place(waiting))
        if task.policy.joint:
            windows = decide_jointly(windows, task.policy, folder)
        for window, formed, counted in map_ahead(partial(format_window, form), windows):
            write(formed)
            refused.write(window.repeated)
            tally.add(window.tally)
            tally.add(counted)
            tell(tally.scored)
    return tally


def _place(
    waiting: Iterable[tuple[pa.Table, Codes]],
) -> Iterator[tuple[int, pa.Table, Codes]]:
    start = 0
    for table, numbers in waiting:
        yield start, table, numbers
        start += len(table)


def decide_window(
    task: Task, intake: ReadExport, recall: ScoreCache, placed: tuple[int, pa.Table, Codes]
) -> Window:
    """Score the tickets of a window, each for itself, and decide about them."""
    start, table, numbers = placed
    bundle, manifest = task.bundle, task.bundle.manifest
    frame = table.to_pandas()
    before, after = np.searchsorted(intake.repeated, [start, start + len(frame)])
    again = np.zeros(len(frame), dtype=np.bool_)
    again[intake.repeated[before:after] - start] = True
    repeated = frame[again].assign(**{REASON: DUPLICATE, DETAIL: ""})
    kept = frame[~again].reset_index(drop=True) if len(repeated) else frame
    looks = recall.look(numbers[~again], partial(bundle.see, kept))
    judged = bundle.judge(kept, looks)
    costs = manifest.costs(judged.tickets)
    losses = costs.expected(judged.probability)
    facts = take_facts(judged.tickets)
    escalate = task.policy.decide(judged.probability, costs, facts)
    candidates = None
    if task.policy.joint:
        place = start - before + np.arange(len(escalate))
        candidates = Candidates(judged.probability, costs, facts, place).take(escalate)
    batch = build_export_rows(manifest, judged, escalate, losses, task.version, task.scored_at)
    window = Window(batch, repeated, candidates)
    window.tally.count_looks(manifest.profile, bundle.known_categories(), judged)
    return window


def decide_jointly(
    windows: Iterable[Window], policy: DecisionPolicy, folder: Path
) -> Iterator[Window]:
    """Wait for the candidates of all windows, then say which are escalated."""
    shortlist = Shortlist(policy)
    waiting = Spool(folder / "decided")
    for window in windows:
        assert window.candidates is not None
        waiting.write(window.batch)
        shortlist.add(window.candidates)
        yield replace(window, batch=window.batch.slice(0, 0))  # its rejected rows go ahead
    start = 0
    for table in waiting.read(WINDOW):
        for batch in table.to_batches():
            place = batch.schema.get_field_index("Escalate")
            chosen = pa.array(shortlist.escalate(start, len(batch)))
            yield Window(batch.set_column(place, "Escalate", chosen))
            start += len(batch)


def format_window(
    form: Callable[[pa.RecordBatch], Formed], window: Window
) -> tuple[Window, Formed, ScoringSummary]:
    """Give a window's export its form in the file, and count it."""
    tally = ScoringSummary()
    tally.count_export(window.batch)
    return window, form(window.batch), tally
