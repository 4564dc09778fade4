"""Rows that are left out before labelling: totals, copies, and what cannot be read or priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.errors import InputError
from slarisk.exports.numbers import hint_marks
from slarisk.exports.rows import SOURCE_FILE, SOURCE_ROW, locate_row, quote_value
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import BECAUSE, cost_fields, outcome_fields

if TYPE_CHECKING:
    from slarisk.config import DataPolicy
    from slarisk.exports.rows import Broken

TOTAL, COPY, DUPLICATE = "total_row", "exact_copy", "duplicate_ticket_id"
BAD_COST, BAD_PAUSE = "bad_cost", "bad_pause"
# nothing is wrong with the tickets of a file that has these
HARMLESS = (TOTAL, COPY)
_TOTAL = (
    r"(?i)\s*(?:grand\s+|sub-?)?(?:totals?|totale|totaal|total general|sum|summe|somme|suma|gesamt"
    r"|gesamtsumme|gesamtergebnis|itogo|\u0438\u0442\u043e\u0433\u043e|\u5408\u8ba1|\u5408\u8a08)"
    r"(?:\s*[:=(]\s*|\s+)?[\d.,\s]*\)?\s*(?:rows|tickets|records)?\s*"
)


@dataclass(frozen=True)
class Fault:
    """Rows that are left out for one reason: how many, and what is wrong with the first."""

    reason: str
    count: int
    detail: str


def find_totals(tickets: pd.DataFrame, data: DataPolicy) -> pd.Series:
    """Mask of rows that sum up others: one of their texts says so, and they have no creation time.

    Parameters
    ----------
    tickets : DataFrame
        Typed tickets.
    data : DataPolicy
    """
    lacks = get_dates(tickets, "created_at").isna()
    found = pd.Series(False, index=tickets.index)
    if not lacks.any():
        return found
    dated = "created_at" in data.columns and "created_at" in tickets
    # without creation times the id alone tells: a channel may be called Total
    for name in data.columns if dated else ["ticket_id"]:
        text = tickets[name][lacks] if name in tickets else pd.Series(dtype="str")
        if isinstance(text.dtype, pd.StringDtype):
            said = text.str.fullmatch(_TOTAL).fillna(False).astype(bool)
            found |= said.reindex(tickets.index, fill_value=False)
    return found


def find_copies(tickets: pd.DataFrame, data: DataPolicy) -> tuple[pd.Series, list[str]]:
    """Find rows that repeat the id of another.

    Of exact copies the first counts. So it does of rows that differ, unless they differ in what
    the label rests on: then there is no telling, and none of them counts.

    Returns
    -------
    Series of str
        COPY or DUPLICATE; empty where the row counts.
    list of str
        What a user should know of it.
    """
    reasons = pd.Series("", index=tickets.index, dtype="str")
    ids = tickets["ticket_id"]
    if not ids[ids.notna()].duplicated().any():
        return reasons, []
    fields = [name for name in data.columns if name in tickets]
    exact = ids.notna() & tickets.duplicated(subset=fields)
    rest = tickets[ids.notna() & ~exact]
    rest = rest[rest["ticket_id"].duplicated(keep=False)]
    again = rest["ticket_id"].duplicated()
    judged = {"created_at", "priority", *outcome_fields(data), *cost_fields(data)}
    differ = rest.groupby("ticket_id")[fields].nunique(dropna=False) > 1
    unclear = differ[[name for name in fields if name in judged]].any(axis="columns")
    open_question = rest["ticket_id"].isin(unclear[unclear].index)
    reasons[exact] = COPY
    reasons[again[again | open_question].index] = DUPLICATE
    notes = []
    for ids_of, verdict in (
        (differ[~unclear], "the first row of each counts"),
        (differ[unclear], "its label may be either, so no row of them counts"),
    ):
        if len(ids_of):
            id_ = rest["ticket_id"][rest["ticket_id"].isin(ids_of.index)].iloc[0]
            rows = rest[rest["ticket_id"] == id_]
            names = [data.columns[name] for name in fields if ids_of.loc[id_, name]]
            place, other = rows.iloc[0], rows.iloc[1]
            elsewhere = f" of {other[SOURCE_FILE]}" * (other[SOURCE_FILE] != place[SOURCE_FILE])
            notes.append(
                f"{len(ids_of):,} ids repeat in rows that differ: {verdict}. The first is "
                f"{quote_value(id_)} in {locate_row(place)} and row {other[SOURCE_ROW]}"
                f"{elsewhere}, which differ in {', '.join(names)}. If the export is an event log, "
                "say so: data.events.order=<field>."
            )
    return reasons, notes


def describe_bad_cost(values: pd.Series, place: str, what: str, column: str) -> str:
    """Say what is wrong with the first of some costs."""
    return (
        f"{place}: column {column!r} is the {what} and must be a number of at least 0, not "
        f"{quote_value(values.iloc[0])} ({len(values):,} rows).{hint_marks(values)}"
    )


def list_faults(
    broken: Sequence[Broken],
    tickets: pd.DataFrame,
    reasons: Mapping[str, str],
    details: Mapping[str, str],
) -> list[Fault]:
    """List why rows are left out that score.py would reject, too.

    Parameters
    ----------
    broken : sequence of Broken
    tickets : DataFrame
        With BECAUSE.
    reasons : mapping of str to str
        Those of tickets that count as faults, and what each means.
    details : mapping of str to str
        What is wrong with the first row, for some of them.
    """
    faults = []
    for reason in dict.fromkeys(each.reason for each in broken):
        rows = [each for each in broken if each.reason == reason]
        first = rows[0]
        faults.append(
            Fault(reason, len(rows), f"{first.file}, row {first.row}: {first.detail.rstrip('.')}.")
        )
    because = get_text(tickets, BECAUSE)
    for reason, meaning in reasons.items():
        rows_of = tickets[because == reason]
        if len(rows_of):
            detail = details.get(reason, f"{locate_row(rows_of.iloc[0])}: {meaning}.")
            faults.append(Fault(reason, len(rows_of), detail))
    return faults


def note_faults(faults: Sequence[Fault], rows: int) -> list[str]:
    """Say how many rows are left out, and what is wrong with the first of each kind."""
    wrong = [fault for fault in faults if fault.reason not in HARMLESS]
    count = sum(fault.count for fault in wrong)
    if not faults:
        return []
    said = ", ".join(f"{fault.reason} {fault.count:,}" for fault in wrong)
    notes = [f"{count:,} of {rows:,} rows ({count / rows:.1%}) are left out: {said}."] * bool(count)
    return notes + [f"{each.reason}: {each.count:,}. {each.detail}" for each in faults]


def refuse_many_faults(path: str, faults: Sequence[Fault], rows: int, max_rejected: float) -> None:
    """Raise if the share of rows left out for a fault exceeds ``max_rejected``.

    Raises
    ------
    InputError
        Gives the share, the reasons, and what is wrong with the first row of each.
    """
    wrong = [fault for fault in faults if fault.reason not in HARMLESS]
    count = sum(fault.count for fault in wrong)
    if count <= max_rejected * rows:
        return
    said = ", ".join(f"{fault.reason}: {fault.count:,}" for fault in wrong)
    most = max(wrong, key=lambda fault: fault.count)
    raise InputError(
        f"{path}: {count:,} of {rows:,} rows ({count / rows:.1%}) cannot be used ({said}), more "
        f"than max_rejected={max_rejected:g} allows. {most.detail}"
    )
