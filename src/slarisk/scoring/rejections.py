"""Rows that cannot be scored: the reason for each, and the file that lists them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.exports.rows import SOURCE_LINE, SOURCE_ROW, Malformed
from slarisk.exports.spreadsheets import neutralise
from slarisk.tickets.changes import find_change_date
from slarisk.tickets.contract import get_dates, type_fields
from slarisk.tickets.events import find_bad_events, read_event_dates
from slarisk.tickets.fields import UNREADABLE, cost_fields, date_fields
from slarisk.tickets.labels import NO_ID, NO_SLA, UNREADABLE_DATE, find_without_sla
from slarisk.tickets.left_out import BAD_COST, BAD_PAUSE, TOTAL, find_totals
from slarisk.tickets.prepare import note_times
from slarisk.tickets.prices import is_valid_price, read_dollars
from slarisk.times.pauses import find_bad_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slarisk.model.manifest import Manifest

NOT_YET = "after_the_moment"  # of scoring: a ticket, or an event, of a later time
FILE, REASON, DETAIL = "source_file_number", "rejected_because", "rejected_detail"
POSITION_SCHEMA = pa.schema([(name, pa.int64()) for name in (FILE, SOURCE_ROW, SOURCE_LINE)])
REJECTED_SCHEMA = pa.schema(
    [*POSITION_SCHEMA, *((name, pa.large_string()) for name in ("ticket_id", REASON, DETAIL))]
)
REJECTED_COLUMNS = ("file", "row", "line", "Ticket ID", "reason", "detail")


def sort_tickets(
    frame: pd.DataFrame,
    manifest: Manifest,
    fields: Iterable[str],
    at: pd.Timestamp | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Type rows of tickets; gives those that can be scored, and the others with REASON, DETAIL.

    As of a moment, a ticket that was created later cannot.
    """
    typed = type_fields(frame, manifest.data, fields)
    note_times(typed, manifest.data, manifest.sla)  # may refuse them
    reasons, details = find_rejections(manifest, typed)
    if at is not None:
        later = (get_dates(typed, "created_at") > at) & (reasons == "")
        reasons = reasons.mask(later, NOT_YET)
    bad = (reasons != "").to_numpy()
    if not bad.any():
        return typed, typed.head(0).assign(**{REASON: "", DETAIL: ""})
    rejected = typed[bad].assign(**{REASON: reasons[bad], DETAIL: details[bad]})
    return typed[~bad].copy(), rejected


def find_rejections(manifest: Manifest, tickets: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Find why tickets cannot be scored: a reason for each, empty where there is none; details."""
    data = manifest.data
    details = pd.Series("", index=tickets.index, dtype="str")
    unreadable = (tickets[UNREADABLE] != "").to_numpy()
    if unreadable.any():
        details = details.mask(unreadable, "column " + tickets[UNREADABLE])
    bad_cost = np.zeros(len(tickets), dtype=np.bool_)
    for field in cost_fields(data):
        amounts = read_dollars(tickets[field])
        # an empty cost is unknown and gets a fallback; an invalid one is a mistake in the data
        wrong = (tickets[field].notna() & ~is_valid_price(amounts)).to_numpy()
        bad_cost |= wrong
        details = details.mask(wrong, f"column {data.columns[field]}")
    pauses, paused_by = find_bad_pauses(tickets, manifest.sla.pause)
    bad_pause = pauses.to_numpy() & ~unreadable & ~bad_cost
    if paused_by is not None:
        details = details.mask(bad_pause, f"column {data.columns[paused_by]}")
    reasons = np.select(
        [
            find_totals(tickets, data).to_numpy(),
            tickets["ticket_id"].isna().to_numpy(),
            unreadable,
            find_without_sla(tickets, data).to_numpy(),
            bad_cost,
            bad_pause,
        ],
        [TOTAL, NO_ID, UNREADABLE_DATE, NO_SLA, BAD_COST, BAD_PAUSE],
        default="",
    )
    return pd.Series(reasons, index=tickets.index, dtype="str"), details


def sort_events(
    frame: pd.DataFrame, manifest: Manifest, at: pd.Timestamp | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split events into those that can be put in order, and the others with REASON and DETAIL.

    Where pauses are read off the events, these need a date, too. As of a moment, later events, and
    those without a date, are rejected.
    """
    pause = manifest.sla.pause
    reasons, columns = find_bad_events(frame, manifest.data, pause.changed_at)
    details = "column " + columns
    if at is not None and find_change_date(manifest.data) in date_fields(manifest.data):
        dates = read_event_dates(frame, find_change_date(manifest.data), manifest.data)
        reasons = reasons.mask((reasons == "") & ~(dates <= at), NOT_YET)
        details = details.mask(reasons == NOT_YET, "")
    good = (reasons == "").to_numpy()
    rejected = frame[~good].assign(**{REASON: reasons[~good], DETAIL: details[~good]})
    return frame[good].copy(), rejected


def list_malformed(malformed: Iterable[Malformed]) -> pd.DataFrame:
    """Make rejected rows of those that do not fit the header."""
    rows = [(each.row, each.line, each.reason, each.detail, None) for each in malformed]
    frame = pd.DataFrame(rows, columns=[SOURCE_ROW, SOURCE_LINE, REASON, DETAIL, "ticket_id"])
    return frame.astype(dict.fromkeys([REASON, DETAIL, "ticket_id"], "str"))


@contextmanager
def open_rejected(path: Path, files: list[str]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Open the CSV of rejected rows; gives a function that adds rows to it.

    Parameters
    ----------
    path : Path
    files : list of str
        The file names that FILE numbers.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(",".join(REJECTED_COLUMNS) + "\n")

        def write(rows: pd.DataFrame) -> None:
            if rows.empty:
                return
            line = rows[SOURCE_LINE].where(rows[SOURCE_LINE] > 0).astype("Int64")
            file = rows[FILE].map(dict(enumerate(files)))
            columns = [file, rows[SOURCE_ROW], line, rows["ticket_id"], rows[REASON], rows[DETAIL]]
            table = pd.concat(columns, axis="columns").set_axis(REJECTED_COLUMNS, axis="columns")
            neutralise(table).to_csv(stream, header=False, index=False, lineterminator="\n")

        yield write
