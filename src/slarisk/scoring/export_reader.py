"""Read an export of any size into typed tickets on disk, and reject rows with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.errors import InputError
from slarisk.scoring.eventlog import EventLog
from slarisk.scoring.export import DUPLICATE, TICKET_COLUMNS, find_rejections
from slarisk.scoring.repeated_ids import IdFile
from slarisk.scoring.spool import Spool, to_batch
from slarisk.scoring.threads import map_ahead
from slarisk.tickets.contract import (
    UNREADABLE,
    date_fields,
    read_order,
    type_fields,
    validate_policy,
)
from slarisk.tickets.files import name_file
from slarisk.tickets.read import Part, read_parts
from slarisk.tickets.rows import SOURCE_LINE, SOURCE_ROW, Malformed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import DataPolicy
    from slarisk.model.bundle import Bundle, Manifest
    from slarisk.scoring.score_cache import Codes, ScoreCache

FILE, REASON, DETAIL = "source_file_number", "reason", "detail"
UNREADABLE_ORDER = "unreadable_event_order"
_TEXT = pa.large_string()
_PLACE = [(FILE, pa.int64()), (SOURCE_ROW, pa.int64()), (SOURCE_LINE, pa.int64())]
REJECTED = pa.schema([*_PLACE, ("ticket_id", _TEXT), (REASON, _TEXT), (DETAIL, _TEXT)])
_OUTCOME_FIELDS = ("created_at", "resolved_at", "due_at")
_ROWS = 1 << 17  # tickets of an event log, and ids, that are looked at together


@dataclass(eq=False)
class ReadExport:
    """An export on disk.

    Parameters
    ----------
    tickets : Spool
        Those that can be scored, in order; a repeated id still more than once.
    rejected : Spool
        Rows that cannot, as REJECTED; without the repeated ones.
    files : list of str
        The names behind the numbers of files.
    rows : int
        How many rows were read: tickets and rejected rows, or the events of a log.
    reasons : Counter
        How many rows were rejected, by reason.
    repeated : int array
        Places in ``tickets`` of those that have the id of an earlier one.
    """

    tickets: Spool
    rejected: Spool
    files: list[str] = field(default_factory=list)
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def scored(self) -> int:
        """How many tickets can be scored."""
        return self.tickets.rows - len(self.repeated)


@dataclass(frozen=True, eq=False)
class _Taken:
    """What came of a part of a file."""

    part: Part
    tickets: pd.DataFrame
    numbers: Codes
    rejected: pd.DataFrame
    rows: int


def needed_fields(manifest: Manifest) -> list[str]:
    """Name the fields that scoring reads where they exist; no other column is parsed."""
    data = manifest.data
    fields = ["ticket_id", *manifest.required_fields(), *TICKET_COLUMNS.values(), *_OUTCOME_FIELDS]
    fields += [data.label.column] if data.label.column else []
    return [name for name in dict.fromkeys(fields) if name in data.columns]


def read_export_parts(
    bundle: Bundle, recall: ScoreCache, source: str, folder: Path, progress: Callable[[int], object]
) -> ReadExport:
    """Read an export to its end, once.

    Parameters
    ----------
    bundle : Bundle
        The model.
    recall : ScoreCache
        Notes what the model will look at.
    source : str
        A file, a folder, a glob, or ``-`` for standard input.
    folder : Path
        Where the tickets wait.
    progress : callable
        Is told how many bytes have been read.

    Raises
    ------
    InputError
        The export cannot be read, or has no rows.
    """
    manifest, data = bundle.manifest, bundle.manifest.data
    validate_policy(data)
    fields = needed_fields(manifest)
    required = ["ticket_id", *manifest.required_fields()]
    if data.events is not None:
        fields, required = [*fields, data.events.order], [*required, data.events.order]
    intake = ReadExport(Spool(folder / "tickets"), Spool(folder / "rejected"))
    log = EventLog(data, folder) if data.events is not None else None
    ids = IdFile(folder / "ids")

    def keep(good: pd.DataFrame, numbers: Codes, bad: pd.DataFrame) -> None:
        if len(good):
            intake.tickets.write(to_batch(good, _lay_out(data, fields)))
            recall.note(numbers)
            ids.write(good["ticket_id"])
        if len(bad):
            intake.rejected.write(to_batch(bad, REJECTED))
            intake.reasons.update(bad[REASON].tolist())

    def sort(tickets: pd.DataFrame) -> tuple[pd.DataFrame, Codes, pd.DataFrame]:
        good, bad = sort_tickets(tickets, manifest, fields)
        return good, recall.number(bundle.see(good)), bad

    def take(part: Part) -> _Taken:
        rows = part.parse()
        if log is None:
            good, numbers, bad = sort(rows.frame)
        else:
            good, bad = sort_events(rows.frame, manifest, fields)
            numbers = np.empty((0, 0), dtype=np.uint16)
        wrong = list_malformed(rows.malformed)
        bad = pd.concat([bad, wrong]).sort_values(SOURCE_ROW) if len(wrong) else bad
        return _Taken(part, good, numbers, bad, len(rows))

    rows_of: Counter[str] = Counter()
    for taken in map_ahead(take, read_parts(data, required, fields, source)):
        file = taken.part.file
        intake.files += [file] if file not in intake.files[-1:] else []
        for frame in (taken.tickets, taken.rejected):
            frame[FILE] = len(intake.files) - 1
            frame[SOURCE_ROW] += rows_of[file]
        rows_of[file] += taken.rows
        intake.rows += taken.rows
        if log is None:
            keep(taken.tickets, taken.numbers, taken.rejected)
        else:
            log.add(taken.tickets)
            keep(taken.tickets.head(0), taken.numbers, taken.rejected)
        progress(taken.part.read)
    if not intake.rows:
        raise InputError(f"{name_file(source)}: there are no tickets in it, only a header.")
    if log is not None:
        for good, numbers, bad in map_ahead(sort, log.collapse(_ROWS)):
            keep(good, numbers, bad)
    intake.repeated = ids.find_repeated(
        table["ticket_id"].to_pandas() for table in intake.tickets.read(_ROWS)
    )
    if len(intake.repeated):
        intake.reasons[DUPLICATE] += len(intake.repeated)
    return intake


def sort_tickets(
    frame: pd.DataFrame, manifest: Manifest, fields: Iterable[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Type the rows of tickets, and tell those that can be scored from those that cannot."""
    typed = type_fields(frame, manifest.data, fields)
    reasons, details = find_rejections(manifest, typed)
    bad = (reasons != "").to_numpy()
    if not bad.any():
        return typed, typed.head(0).assign(**{REASON: "", DETAIL: ""})
    told = typed[bad].assign(**{REASON: reasons[bad], DETAIL: details[bad]})
    return typed[~bad].copy(), told


def sort_events(
    frame: pd.DataFrame, manifest: Manifest, fields: Iterable[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell events that have a place in the order of their log from those that have none."""
    data = manifest.data
    assert data.events is not None
    bad = read_order(frame, data).isna().to_numpy()
    column = data.columns[data.events.order]
    told = frame[bad].assign(**{REASON: UNREADABLE_ORDER, DETAIL: f"column {column}"})
    return frame[~bad].copy(), told


def list_malformed(malformed: Iterable[Malformed]) -> pd.DataFrame:
    """Tell rows that do not fit the header, as the other rejected rows are told."""
    return pd.DataFrame(
        {
            SOURCE_ROW: [each.row for each in malformed],
            SOURCE_LINE: [each.line for each in malformed],
            REASON: pd.Series([each.reason for each in malformed], dtype="str"),
            DETAIL: pd.Series([each.detail for each in malformed], dtype="str"),
            "ticket_id": pd.Series([None for _ in malformed], dtype="str"),
        }
    )


def _lay_out(data: DataPolicy, fields: Iterable[str]) -> pa.Schema:
    dates = date_fields(data)
    kinds = [(name, pa.timestamp("us") if name in dates else _TEXT) for name in fields]
    return pa.schema([*kinds, (UNREADABLE, _TEXT), *_PLACE])
