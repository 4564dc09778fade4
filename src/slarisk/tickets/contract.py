"""Typed tickets by the data policy: one row each, and when each field becomes known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import LabelKind
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.timing import TicketTimes
from slarisk.exports.numbers import hint_marks, read_plain
from slarisk.exports.rows import SOURCE_FILE, SOURCE_ROW, Broken, locate_row, quote_value
from slarisk.tickets.fields import (
    DATED,
    NEVER,
    OFFSET,
    TWICE,
    UNREADABLE,
    cost_fields,
    date_fields,
    duration_fields,
    list_formats,
    number_fields,
)
from slarisk.times.dates import DAY, PRECISIONS, Dates, add_times, floor_times, parse_dates
from slarisk.times.durations import read_durations
from slarisk.times.zones import read_local, show_local

if TYPE_CHECKING:
    from slarisk.config import DataPolicy


@dataclass(frozen=True)
class Unreadable:
    """Values of a column that could not be read as dates or durations; the first of them."""

    field: str
    column: str
    count: int
    place: str
    value: str
    tried: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class TypedTickets:
    """Tickets as the data policy types them, and what reading them told.

    ``precision`` has, by date column, the number of dates written to each of PRECISIONS;
    ``offsets``, by date field, the number of times with an offset from UTC, and without.
    ``broken`` are rows that could not be read, and events that have no place in the log.
    ``changes`` are those of :func:`~slarisk.tickets.changes.read_changes`, if they were asked for.
    """

    frame: pd.DataFrame
    unreadable: list[Unreadable] = dataclass_field(default_factory=list)
    precision: dict[str, dict[str, int]] = dataclass_field(default_factory=dict)
    offsets: dict[str, tuple[int, int]] = dataclass_field(default_factory=dict)
    broken: list[Broken] = dataclass_field(default_factory=list)
    changes: pd.DataFrame | None = None


def find_unread_numbers(tickets: pd.DataFrame, policy: DataPolicy) -> list[Unreadable]:
    """Find values that are no numbers in fields that should hold them; costs are told elsewhere."""
    told = []
    priced = {*cost_fields(policy), *duration_fields(policy)}
    for name in number_fields(policy):
        if name not in tickets or name in priced:
            continue
        bad = pd.to_numeric(tickets[name], errors="coerce").isna() & tickets[name].notna()
        if bad.any():
            rows = tickets[bad]
            value, place = quote_value(rows[name].iloc[0]), locate_row(rows.iloc[0])
            tried = (f"a number.{hint_marks(rows[name])}".rstrip("."),)
            told.append(Unreadable(name, policy.columns[name], int(bad.sum()), place, value, tried))
    return told


def type_fields(
    fields: pd.DataFrame, policy: DataPolicy, names: Iterable[str] | None = None
) -> pd.DataFrame:
    """Trim text, rename values and read dates; fields that are not there become NA.

    ``names`` are the fields of the policy that are needed, by default all.
    """
    return type_export(fields, policy, names).frame


def type_export(
    fields: pd.DataFrame, policy: DataPolicy, names: Iterable[str] | None = None
) -> TypedTickets:
    """Type fields as :func:`type_fields` does, and tell what that found."""
    needed = [*policy.columns] if names is None else [*names]
    # One frame is made in the end, and nothing is done where there is nothing to do: a served
    # ticket comes alone, and each step on a column costs it a tenth of a millisecond.
    typed: dict[str, pd.Series] = {str(name): fields[name] for name in fields}
    for name in needed:
        text = get_text(fields, name)
        if name in fields:
            text = trim_text(text, policy)
            text = text.str.lower() if name in policy.ignore_case else text
            text = text.replace(_new_names(policy, name)) if name in policy.values else text
        typed[name] = text
    told: list[Unreadable] = []
    unreadable = pd.Series("", index=fields.index, dtype="str")
    read: dict[str, Dates] = {}

    def tell(name: str, text: pd.Series, lost: pd.Series, tried: list[str]) -> None:
        if lost.any():
            unreadable[lost] += f", {policy.columns[name]}"
            first = fields[lost].iloc[0]
            place = locate_row(first) if SOURCE_FILE in fields and SOURCE_ROW in fields else ""
            value = quote_value(text[lost].iloc[0])
            column = policy.columns[name]
            told.append(Unreadable(name, column, int(lost.sum()), place, value, tuple(tried)))

    for name in date_fields(policy):
        if name not in needed:
            continue
        if name not in fields:
            typed[name] = get_dates(fields, name)
            continue
        text = typed[name]
        read[name], lost = read_date_field(typed, name, policy)
        tell(name, text, lost, list_formats(policy, name))
    for name, dates in read.items():
        typed[name] = show_dates(dates, policy.timezone)
    _respect_precision(typed, read, policy)
    counts: dict[str, pd.Series] = {}
    for name, dates in read.items():
        typed[name], some = find_instants(typed[name], dates, policy.timezone)
        for key, count in some.items():
            counts[key] = counts.get(key, 0) + count
    for name in number_fields(policy):
        if name in needed and name in fields:
            typed[name] = read_plain(typed[name], policy.decimal, policy.thousands)
    for name in duration_fields(policy):
        if name in needed and name in fields:
            unit = policy.durations.get(name, "hours")
            hours = read_durations(typed[name], unit)
            tell(name, typed[name], hours.isna() & typed[name].notna(), [f"a number of {unit}"])
            typed[name] = hours.map(repr, na_action="ignore").astype("str")
    typed[UNREADABLE] = unreadable.str.removeprefix(", ")
    return TypedTickets(
        pd.DataFrame(typed | counts, index=fields.index),
        told,
        _count_precisions(read, policy),
        {name: _count_offsets(dates) for name, dates in read.items()},
    )


def _new_names(policy: DataPolicy, name: str) -> dict[str, str]:
    names = policy.values[name]
    if name not in policy.ignore_case:
        return names
    return {old.lower(): new.lower() for old, new in names.items()}


def read_date_field(
    fields: Mapping[str, pd.Series] | pd.DataFrame, name: str, policy: DataPolicy
) -> tuple[Dates, pd.Series]:
    """Read the dates of a field of trimmed text, with their times of day if these stand apart.

    Returns
    -------
    Dates
    Series of bool
        Where there is something that could not be read.
    """
    text = fields[name]
    dates = parse_dates(text, list_formats(policy, name))
    lost = dates.times.isna() & text.notna()
    clock = policy.times.get(name)
    if clock is not None and clock in fields:
        dates, bad = add_times(dates, trim_text(fields[clock].astype("str"), policy))
        lost |= bad & text.notna()
    return dates, lost


def show_dates(dates: Dates, timezone: str | None) -> pd.Series:
    """Give dates as the clocks of the data's time zone show them."""
    if timezone is None or not dates.absolute.any():
        return dates.times
    return dates.times.where(~dates.absolute, show_local(dates.times, timezone))


def find_instants(
    shown: pd.Series, dates: Dates, timezone: str | None
) -> tuple[pd.Series, dict[str, pd.Series]]:
    """Turn dates as :func:`show_dates` gives them, or moved since, to instants.

    Returns
    -------
    Series of datetimes
        In UTC, without saying so; as written, if there is neither an offset nor a time zone.
    dict of str to Series of int
        OFFSET, if there is no time zone and a date has an offset; TWICE and NEVER, if there is one:
        1 for each of these dates.
    """
    if timezone is None:
        offset = pd.Series(dates.absolute.astype(int), shown.index)
        return shown, {OFFSET: offset} if dates.absolute.any() else {}
    kept = dates.absolute & (shown == show_dates(dates, timezone)).to_numpy(dtype=bool)
    instants, twice, never = read_local(shown.mask(kept), timezone)
    counts = {TWICE: twice.astype(int), NEVER: never.astype(int)}
    return instants.where(~kept, dates.times), counts


def _respect_precision(
    typed: dict[str, pd.Series], read: dict[str, Dates], policy: DataPolicy
) -> None:
    """Take dates for what they say: a due day lasts to its end, and no ticket is closed too early.

    A ticket that was closed in the minute or on the day on which it was opened, by the less precise
    of the two dates, was closed when it was opened.
    """
    if "due_at" in read and (days := read["due_at"].precision == DAY).any():
        due = typed["due_at"]
        typed["due_at"] = due.mask(days, due + pd.Timedelta(days=1) - pd.Timedelta(1, "us"))
    if "created_at" not in read:
        return
    created = typed["created_at"]
    for name in ("first_response_at", "resolved_at"):
        if name not in read:
            continue
        level = np.maximum(read["created_at"].precision, read[name].precision)
        if not level.any():
            continue
        ended = typed[name]
        alike = floor_times(created, level) == floor_times(ended, level)
        # only against a target: a due date knows the hour, even if the creation does not
        day = level == DAY
        by_day = day & (policy.label.kind is LabelKind.target)
        if name == "resolved_at" and day.any():
            typed[DATED] = pd.Series(day, index=created.index)
        typed[name] = ended.mask(alike & ((ended < created) | by_day), created)


def _count_offsets(dates: Dates) -> tuple[int, int]:
    """Count the times with an offset from UTC, and those without; a day has none."""
    naive = dates.times.notna().to_numpy() & ~dates.absolute & (dates.precision != DAY)
    return int(dates.absolute.sum()), int(naive.sum())


def _count_precisions(read: dict[str, Dates], policy: DataPolicy) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for name, dates in read.items():
        found = np.bincount(
            dates.precision[dates.times.notna().to_numpy()], minlength=len(PRECISIONS)
        )
        counts[policy.columns[name]] = {
            word: int(count) for word, count in zip(PRECISIONS, found, strict=True) if count
        }
    return counts


def trim_text(text: pd.Series, policy: DataPolicy) -> pd.Series:
    """Cut the space around text; what the policy writes for a missing value is missing."""
    text = text.str.strip()
    gone = text.isin(policy.missing)
    return text.mask(gone) if gone.any() else text


def get_text(tickets: pd.DataFrame, name: str) -> pd.Series:
    """Return a text field; all NA if the tickets lack it."""
    if name in tickets:
        return tickets[name].astype("str")
    return pd.Series(pd.NA, index=tickets.index, dtype="str")


def get_dates(tickets: pd.DataFrame, name: str) -> pd.Series:
    """Return a date field; all NaT if the tickets lack it."""
    if name in tickets:
        return tickets[name]
    return pd.Series(pd.NaT, index=tickets.index, dtype="datetime64[us]")


def note_local_times(counts: Mapping[str, int], timezone: str | None) -> list[str]:
    """Say how local times were read that occur twice, or not at all; ``counts`` as TWICE, NEVER."""
    notes = []
    if counts.get(TWICE):
        notes.append(
            f"Times that occur twice in {timezone} (clocks set back): {counts[TWICE]:,}, read as "
            "the first."
        )
    if counts.get(NEVER):
        notes.append(
            f"Times that do not occur in {timezone} (clocks set forward): {counts[NEVER]:,}, read "
            "at the offset before."
        )
    return notes


def take_times(tickets: pd.DataFrame) -> TicketTimes:
    """Return for how long labelled tickets were open, and the age at which they breach."""
    target = tickets["breaches_after"].to_numpy(dtype=float)
    return TicketTimes(tickets["open_hours"].to_numpy(dtype=float), target, ~np.isnan(target))


def take_facts(tickets: pd.DataFrame, policy: DataPolicy) -> TicketFacts:
    """Return the facts that a decision policy may use; its days are those of local clocks."""
    created = show_local(get_dates(tickets, "created_at"), policy.timezone)
    return TicketFacts(
        created_at=created.to_numpy(dtype="datetime64[us]"),
        ticket_id=get_text(tickets, "ticket_id").fillna("").to_numpy(dtype=object),
    )
