"""The history that the context of an export's tickets is counted in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.files import STDIN
from slarisk.learning.context import (
    DAY,
    NEVER,
    History,
    join_parts,
    merge_histories,
    note_ramp,
    record_tickets,
)
from slarisk.model.history import save_history
from slarisk.scoring.export_reader import list_ticket_columns, read_export
from slarisk.tickets.contract import get_dates, type_fields
from slarisk.tickets.labels import label_tickets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slarisk.model.manifest import Manifest
    from slarisk.scoring.export_reader import ReadExport
    from slarisk.scoring.summary import ScoringSummary
    from slarisk.scoring.task import Task

KEPT = "kept"  # what earlier scorings left beside the model
_STALE = DAY  # after which a history says too little of a ticket
_LATER = pd.Timedelta(days=36_500)  # than all that an export has, and few enough to lay out hours
_ROWS = 1 << 17  # tickets that are recorded together


def record_frame(manifest: Manifest, tickets: pd.DataFrame) -> History:
    """Record typed tickets of an export: a part for ``join_parts``."""
    # whether the target of an open ticket has passed is decided when all parts are there
    latest = get_dates(tickets, "created_at").max()
    observed = _LATER + (pd.Timestamp("2000-01-01") if pd.isna(latest) else latest)
    labelled = label_tickets(tickets, manifest.data, manifest.sla, observed)
    return record_tickets(labelled, manifest.features, manifest.data)


def record_export(manifest: Manifest, export: ReadExport) -> History:
    """Record the tickets of an export that was read, each id once."""
    fields = list_ticket_columns(manifest)
    empty = record_frame(manifest, type_fields(pd.DataFrame(), manifest.data, fields))
    return join_parts([empty, *_record_windows(manifest, export)], manifest.data)


def _record_windows(manifest: Manifest, export: ReadExport) -> Iterable[History]:
    start = 0
    for table in export.tickets.read(_ROWS):
        frame = table.to_pandas()
        before, after = np.searchsorted(export.repeated, [start, start + len(frame)])
        start += len(frame)
        again = export.repeated[before:after] - (start - len(frame))
        yield record_frame(manifest, frame.drop(index=again).reset_index(drop=True))


@dataclass(frozen=True, eq=False)
class Remembered:
    """A history to score with, and what is to be said of it.

    ``stale`` counts the tickets to score that were created more than a day after the history that
    was given beside them ends.
    """

    history: History
    notes: list[str]
    stale: int = 0

    def tell(self, summary: ScoringSummary) -> None:
        """Add it to a summary."""
        summary.notes += self.notes
        summary.stale_history += self.stale


def remember(task: Task, own: History, folder: Path) -> tuple[Task, Remembered]:
    """Give a task the history to score with: that of its own tickets, and what is given beside it.

    What was kept beside the model is updated by both, in the file ``task.state``.

    Parameters
    ----------
    task : Task
        Its bundle has the history that was kept.
    own : History
        Of the tickets to score.
    folder : Path
        For temporary files.
    """
    kept = task.bundle.history
    given = kept if task.history == KEPT else _read_given(task, folder)
    history = own if given is None else merge_histories(given, own)
    if task.state is not None:
        save_history(history if kept is None else merge_histories(kept, history), task.state)
    stale = 0
    if given is not None:
        until = given.as_of if len(given) else -NEVER
        stale = int((own.created - _STALE > until).sum())
    remembered = Remembered(history, _describe(history, given), stale)
    return replace(task, bundle=task.bundle.remember(history)), remembered


def _read_given(task: Task, folder: Path) -> History | None:
    if task.history is None:
        return None
    if task.history == STDIN:
        raise InputError("history=-: standard input is for the tickets to score; name files.")
    inside = folder / "history"
    inside.mkdir()
    export = read_export(task.bundle, None, task.history, inside, lambda _: None)
    return record_export(task.bundle.manifest, export)


def _describe(history: History, given: History | None) -> list[str]:
    if not len(history):
        return ["history: none, so the context of every ticket is unknown"]
    begins, ends = (pd.Timestamp(each, unit="us") for each in (history.begins, history.as_of))
    period = f"from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M}"
    notes = [f"history: {len(history):,} tickets {period}"]
    if given is not None:
        last = pd.Timestamp(given.as_of, unit="us") if len(given) else None
        notes.append(
            f"  {len(given):,} of them given beside the input"
            + (f", which end on {last:%Y-%m-%d %H:%M}" if last is not None else "")
        )
    if (history.ended == NEVER).all():
        notes.append(
            "  none of them is resolved: of an export of open tickets alone, nothing is known of "
            "loads and rates. Name the log with history=..."
        )
    return notes + [f"  {note}" for note in note_ramp(history)]
