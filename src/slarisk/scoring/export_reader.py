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
from slarisk.scoring.eventlog import EventSpool
from slarisk.scoring.export import EXPORT_FIELDS
from slarisk.scoring.rejections import (
    DUPLICATE,
    FILE,
    POSITION_SCHEMA,
    REASON,
    REJECTED_SCHEMA,
    list_malformed,
    sort_events,
    sort_tickets,
)
from slarisk.scoring.repeated_ids import IdFile
from slarisk.scoring.spool import Spool, to_batch
from slarisk.scoring.threads import map_ahead
from slarisk.tickets.contract import UNREADABLE, date_fields, validate_policy
from slarisk.tickets.files import name_file
from slarisk.tickets.read import Part, read_parts
from slarisk.tickets.rows import SOURCE_ROW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import DataPolicy
    from slarisk.model.bundle import Bundle, Manifest
    from slarisk.scoring.score_cache import Codes, ScoreCache

_ROWS = 1 << 17  # tickets of an event log, and ids, that are processed together


@dataclass(eq=False)
class ReadExport:
    """An export on disk.

    Parameters
    ----------
    tickets : Spool
        Tickets that can be scored, in order; repeated ids included.
    rejected : Spool
        Rejected rows as REJECTED_SCHEMA, without those of repeated ids.
    files : list of str
        The file names that FILE numbers.
    rows : int
        Number of rows read: tickets and rejected rows, or the events of a log.
    reasons : Counter
        Number of rejected rows by reason.
    repeated : int array
        Positions in ``tickets`` of those whose id an earlier one has.
    """

    tickets: Spool
    rejected: Spool
    files: list[str] = field(default_factory=list)
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def scored(self) -> int:
        """Number of tickets to score."""
        return self.tickets.rows - len(self.repeated)


@dataclass(frozen=True, eq=False)
class _ParsedPart:
    part: Part
    tickets: pd.DataFrame
    codes: Codes
    rejected: pd.DataFrame
    rows: int


def list_needed_fields(manifest: Manifest) -> list[str]:
    """List the fields that scoring reads where they exist; no other column is parsed."""
    data = manifest.data
    fields = ["ticket_id", *manifest.required_fields(), *EXPORT_FIELDS]
    fields += [data.label.column] if data.label.column else []
    return [name for name in dict.fromkeys(fields) if name in data.columns]


def list_required_fields(manifest: Manifest) -> list[str]:
    """List the fields whose columns an export must have."""
    events = manifest.data.events
    return ["ticket_id", *manifest.required_fields(), *([events.order] if events else [])]


def read_export(
    bundle: Bundle, cache: ScoreCache, source: str, folder: Path, progress: Callable[[int], object]
) -> ReadExport:
    """Read an export once, to its end.

    Parameters
    ----------
    bundle : Bundle
        The model.
    cache : ScoreCache
        Collects the feature rows.
    source : str
        A file, a folder, a glob, or ``-`` for standard input.
    folder : Path
        For the tickets and rejected rows.
    progress : callable
        Called with the number of bytes read.

    Raises
    ------
    InputError
        The export cannot be read, or has no rows.
    """
    manifest, data = bundle.manifest, bundle.manifest.data
    validate_policy(data)
    fields = list_needed_fields(manifest)
    schema = _make_ticket_schema(data, fields)
    columns = fields if data.events is None else [*fields, data.events.order]
    export = ReadExport(Spool(folder / "tickets"), Spool(folder / "rejected"))
    log = EventSpool(data, folder) if data.events is not None else None
    ids = IdFile(folder / "ids")

    def write(good: pd.DataFrame, codes: Codes, bad: pd.DataFrame) -> None:
        if len(good):
            export.tickets.write(to_batch(good, schema))
            cache.add(codes)
            ids.write(good["ticket_id"])
        if len(bad):
            export.rejected.write(to_batch(bad, REJECTED_SCHEMA))
            export.reasons.update(bad[REASON].tolist())

    def sort(tickets: pd.DataFrame) -> tuple[pd.DataFrame, Codes, pd.DataFrame]:
        good, bad = sort_tickets(tickets, manifest, fields)
        return good, cache.encode(bundle.make_features(good)), bad

    def parse(part: Part) -> _ParsedPart:
        rows = part.parse()
        if log is None:
            good, codes, bad = sort(rows.frame)
        else:
            good, bad = sort_events(rows.frame, manifest)
            codes = np.empty((0, 0), dtype=np.uint16)
        malformed = list_malformed(rows.malformed)
        if len(malformed):
            bad = pd.concat([bad, malformed]).sort_values(SOURCE_ROW)
        return _ParsedPart(part, good, codes, bad, len(rows))

    rows_before: Counter[str] = Counter()
    parts = read_parts(data, list_required_fields(manifest), columns, source)
    for parsed in map_ahead(parse, parts):
        file = parsed.part.file
        export.files += [file] if file not in export.files[-1:] else []
        for frame in (parsed.tickets, parsed.rejected):
            frame[FILE] = len(export.files) - 1
            frame[SOURCE_ROW] += rows_before[file]
        rows_before[file] += parsed.rows
        export.rows += parsed.rows
        tickets = parsed.tickets
        if log is not None:
            log.add(tickets)
            tickets = tickets.head(0)
        write(tickets, parsed.codes, parsed.rejected)
        progress(parsed.part.read)
    if not export.rows:
        raise InputError(f"{name_file(source)}: there are no tickets in it, only a header.")
    if log is not None:
        for good, codes, bad in map_ahead(sort, log.collapse(_ROWS)):
            write(good, codes, bad)
    all_ids = (table["ticket_id"].to_pandas() for table in export.tickets.read(_ROWS))
    export.repeated = ids.find_repeated(all_ids)
    export.reasons += Counter({DUPLICATE: len(export.repeated)})
    return export


def _make_ticket_schema(data: DataPolicy, fields: Iterable[str]) -> pa.Schema:
    dates, text = date_fields(data), pa.large_string()
    kinds = [(name, pa.timestamp("us") if name in dates else text) for name in fields]
    return pa.schema([*kinds, (UNREADABLE, text), *POSITION_SCHEMA])
