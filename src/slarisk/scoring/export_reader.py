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

from slarisk.config import Moment
from slarisk.errors import InputError
from slarisk.exports.files import name_file
from slarisk.exports.read import Part, read_parts
from slarisk.exports.rows import SOURCE_ROW
from slarisk.scoring.eventlog import EventSpool
from slarisk.scoring.export import EXPORT_FIELDS
from slarisk.scoring.rejections import (
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
from slarisk.tickets.changes import (
    find_change_date,
    get_last_change,
    list_change_fields,
    list_standing_columns,
)
from slarisk.tickets.fields import (
    LAST_CHANGE,
    NEVER,
    TWICE,
    UNREADABLE,
    date_fields,
    event_fields,
    outcome_fields,
    sla_fields,
    validate_policy,
)
from slarisk.tickets.labels import list_past_dates
from slarisk.tickets.left_out import DUPLICATE
from slarisk.tickets.observation import DaysOfDates
from slarisk.times.event_pauses import PAUSES, event_pause_fields
from slarisk.times.pauses import list_pause_fields

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.config import DataPolicy
    from slarisk.model.bundle import Bundle
    from slarisk.model.manifest import Manifest
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
    days : DaysOfDates
        Of what has happened to the tickets.
    """

    tickets: Spool
    rejected: Spool
    files: list[str] = field(default_factory=list)
    rows: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repeated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    days: DaysOfDates = field(default_factory=DaysOfDates)

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
    fields = ["ticket_id", *manifest.required_fields(), *EXPORT_FIELDS, *outcome_fields(data)]
    fields += list_pause_fields(manifest.sla.pause)
    fields += [data.times[name] for name in fields if name in data.times]
    return [name for name in dict.fromkeys(fields) if name in data.columns]


def list_collapsed_columns(manifest: Manifest) -> list[str]:
    """List the columns of text that a ticket of an event log has beside its fields."""
    data = manifest.data
    names = [PAUSES] if event_pause_fields(manifest.sla.pause, data) else []
    if manifest.moment is Moment.open and data.events is not None:
        names += list_standing_columns(data, manifest.features.so_far)
    return names


def list_ticket_columns(manifest: Manifest) -> list[str]:
    """List the columns of a ticket that is to be scored."""
    return [*list_needed_fields(manifest), *list_collapsed_columns(manifest)]


def list_event_fields(manifest: Manifest, dated: bool = False) -> list[str]:
    """List the fields of an event that scoring reads; ``dated`` asks for its date."""
    data = manifest.data
    fields = [*list_needed_fields(manifest), *event_fields(data)]
    if manifest.moment is Moment.open:
        fields += list_change_fields(data)
    fields += [find_change_date(data)] if dated else []
    return [name for name in dict.fromkeys(fields) if name in data.columns]


def list_required_fields(manifest: Manifest) -> list[str]:
    """List the fields whose columns an export must have."""
    data, pauses = manifest.data, list_pause_fields(manifest.sla.pause)
    fields = ["ticket_id", *manifest.required_fields(), *event_fields(data), *sla_fields(data)]
    fields += [*pauses, *(data.times[name] for name in [*fields, *pauses] if name in data.times)]
    return list(dict.fromkeys(fields))


def read_export(
    bundle: Bundle,
    cache: ScoreCache | None,
    source: str,
    folder: Path,
    progress: Callable[[int], object],
    at: pd.Timestamp | None = None,
) -> ReadExport:
    """Read an export once, to its end.

    Parameters
    ----------
    bundle : Bundle
        The model.
    cache : ScoreCache or None
        Collects the feature rows; with None they are not made.
    source : str
        A file, a folder, a glob, or ``-`` for standard input.
    folder : Path
        For the tickets and rejected rows.
    progress : callable
        Called with the number of bytes read.
    at : Timestamp, optional
        What is later is rejected.

    Raises
    ------
    InputError
        The export cannot be read, or has no rows.
    """
    manifest, data = bundle.manifest, bundle.manifest.data
    validate_policy(data)
    fields = list_ticket_columns(manifest)
    schema = _make_ticket_schema(data, fields)
    columns = fields if data.events is None else list_event_fields(manifest, at is not None)
    export = ReadExport(Spool(folder / "tickets"), Spool(folder / "rejected"))
    log = EventSpool(manifest, folder) if data.events is not None else None
    ids = IdFile(folder / "ids")
    no_codes = np.empty((0, 0), dtype=np.uint16)

    def write(good: pd.DataFrame, codes: Codes, bad: pd.DataFrame) -> None:
        if len(good):
            export.tickets.write(to_batch(good, schema))
            export.days.add(collect_dates(good[schema.names], data))
            if cache is not None:
                cache.add(codes)
            ids.write(good["ticket_id"])
        if len(bad):
            export.rejected.write(to_batch(bad, REJECTED_SCHEMA))
            export.reasons.update(bad[REASON].tolist())

    def sort(tickets: pd.DataFrame) -> tuple[pd.DataFrame, Codes, pd.DataFrame]:
        good, bad = sort_tickets(tickets, manifest, fields, at)
        return good, no_codes if cache is None else cache.encode(bundle.make_features(good)), bad

    def parse(part: Part) -> _ParsedPart:
        rows = part.parse()
        if log is None:
            good, codes, bad = sort(rows.frame)
        else:
            good, bad = sort_events(rows.frame, manifest, at)
            codes = no_codes
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


def collect_dates(tickets: pd.DataFrame, data: DataPolicy) -> dict[str, pd.Series]:
    """Collect the times of what has happened to typed tickets, by field."""
    dates = list_past_dates(tickets, data) | {LAST_CHANGE: get_last_change(tickets)}
    return {name: times for name, times in dates.items() if times.notna().any()}


def _make_ticket_schema(data: DataPolicy, fields: Iterable[str]) -> pa.Schema:
    dates, text = date_fields(data), pa.large_string()
    kinds = [(name, pa.timestamp("us") if name in dates else text) for name in fields]
    told = [(name, pa.int64()) for name in (TWICE, NEVER) if data.timezone is not None]
    return pa.schema([*kinds, (UNREADABLE, text), *told, *POSITION_SCHEMA])
