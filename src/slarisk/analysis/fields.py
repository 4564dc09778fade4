"""Tickets as coded fields and outcomes, which the tables, tests and filters work on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from slarisk.arrays import Bools, Codes, Floats
from slarisk.config import CreationKind, DataPolicy, Moment
from slarisk.errors import InputError
from slarisk.tickets.fields import cost_fields, date_fields, moment_known

NONE = "(none)"  # the level of missing values
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CALENDAR = ("hour", "weekday")
SINCE_FIRST = "days since the first ticket"
CANONICAL = ("priority", "channel", "ticket_type", "product")  # may be missing in a policy


@dataclass(frozen=True, eq=False)
class Field:
    """One field of n tickets: the code of each, and the levels by code.

    ``natural`` is whether the levels are ordered: priorities, hours, weekdays.
    """

    name: str
    codes: Codes
    levels: tuple[str, ...]
    natural: bool = False

    @property
    def label(self) -> str:
        """The name as a heading."""
        return label_field(self.name)


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The outcomes of n tickets.

    Attributes
    ----------
    breach : bool array
    price : float array
        Dollars lost if the ticket breaches.
    hours : float array
        To the resolution; NaN where there is none.
    target : float array
        Hours the ticket may take; NaN where the policy has no targets.
    created : datetime64[us] array
        NaT where unknown.
    """

    breach: Bools
    price: Floats
    hours: Floats
    target: Floats
    created: npt.NDArray[np.datetime64]

    @property
    def loss(self) -> Floats:
        """Dollars lost on each ticket."""
        return np.where(self.breach, self.price, 0.0)


def read_outcomes(tickets: pd.DataFrame) -> Outcomes:
    """Read the outcomes of labelled tickets."""
    return Outcomes(
        tickets["breach"].to_numpy(dtype=bool),
        tickets["breach_cost"].to_numpy(dtype=float),
        tickets["resolution_hours"].to_numpy(dtype=float),
        tickets["sla_target_hours"].to_numpy(dtype=float),
        tickets["created_at"].to_numpy(dtype="datetime64[us]"),
    )


def label_field(name: str) -> str:
    """Write the name of a field as a heading.

    Examples
    --------
    >>> label_field("ticket_type")
    'Ticket type'
    """
    text = name.replace("_", " ")
    return text[:1].upper() + text[1:]


def has_field(tickets: pd.DataFrame, data: DataPolicy, name: str) -> bool:
    """Whether tickets have a field that can be coded."""
    if name == "ticket_id":
        return False  # every ticket has its own
    if name in data.columns:
        return name in tickets and name not in date_fields(data)
    return name in CALENDAR and bool(tickets["created_at"].notna().any())


def require_fields(
    tickets: pd.DataFrame, data: DataPolicy, names: Iterable[str], key: str
) -> list[str]:
    """List those of the fields that the tickets have.

    Raises
    ------
    InputError
        A field that is not canonical is missing. Names the config key and the fields there are.
    """
    names = list(names)
    for name in names:
        if not has_field(tickets, data, name) and name not in (*CANONICAL, *CALENDAR):
            there = [each for each in data.columns if has_field(tickets, data, each)]
            raise InputError(
                f"{key}: the data policy {data.name} has no field {name!r} of text or numbers. "
                f"Fields: {', '.join([*there, *CALENDAR])}."
            )
    return [name for name in names if has_field(tickets, data, name)]


def code_field(tickets: pd.DataFrame, data: DataPolicy, name: str) -> Field:
    """Code a field of tickets that have it (:func:`has_field`).

    Priorities are ordered by SLA target, the most urgent first; other levels by name.
    """
    if name not in data.columns:
        return _code_calendar(tickets["created_at"], name)
    codes, found = pd.factorize(tickets[name], sort=True)
    codes = codes.astype(np.int64)
    levels = [str(level) for level in found]
    if (codes < 0).any():
        codes[codes < 0] = len(levels)
        levels.append(NONE)
    if name != "priority":
        return Field(name, codes, tuple(levels))
    by = tickets.groupby(codes)[["sla_target_hours", "breach_cost"]].mean().fillna(np.inf)
    order = np.lexsort((-by["breach_cost"], by["sla_target_hours"]))
    place = np.argsort(order)
    return Field(name, place[codes].astype(np.int64), tuple(levels[i] for i in order), True)


def _code_calendar(created: pd.Series, name: str) -> Field:
    if name == "hour":
        part, levels = created.dt.hour, [f"{hour:02}" for hour in range(24)]
    else:
        part, levels = created.dt.day_of_week, list(DAYS)
    if created.isna().any():
        part, levels = part.fillna(len(levels)), [*levels, NONE]
    return Field(name, part.to_numpy(dtype=np.int64), tuple(levels), True)


def cross_fields(fields: Sequence[Field]) -> tuple[Codes, list[tuple[str, ...]]]:
    """Combine fields: the code of each ticket's combination, and the levels of each code."""
    shape = [len(field.levels) for field in fields]
    flat = np.ravel_multi_index([field.codes for field in fields], shape)
    codes, found = pd.factorize(flat, sort=True)
    parts = np.unravel_index(found, shape)
    names = [
        tuple(field.levels[i] for field, i in zip(fields, row, strict=True))
        for row in zip(*parts, strict=True)
    ]
    return codes.astype(np.int64), names


def pool_rare(field: Field, fewest: int) -> Field:
    """Pool the levels with fewer than ``fewest`` tickets into one."""
    counts = np.bincount(field.codes, minlength=len(field.levels))
    kept = counts >= fewest
    place = np.where(kept, np.cumsum(kept) - 1, int(kept.sum()))
    levels = [level for level, keep in zip(field.levels, kept, strict=True) if keep]
    if counts[~kept].any():
        levels.append("(rare values)")
    return Field(field.name, place[field.codes], tuple(levels), field.natural)


def list_categories(tickets: pd.DataFrame, data: DataPolicy) -> list[str]:
    """List the categorical fields that are known when a ticket comes in, canonical ones first."""
    names = dict.fromkeys([*CANONICAL, *data.segments, *data.features.categorical])
    known = [name for name in names if moment_known(name, data) is Moment.created]
    return [name for name in known if has_field(tickets, data, name)]


def read_numeric_fields(tickets: pd.DataFrame, data: DataPolicy) -> dict[str, Floats]:
    """Read the numeric fields that are known when a ticket comes in, by their label.

    Dates become days before the creation; the creation itself, where observed, days since the
    first ticket. Ids, text, categories and costs are left out.
    """
    observed = data.creation.kind is CreationKind.observed
    created = tickets["created_at"]
    excluded: set[str | None] = {"ticket_id", *cost_fields(data), *CANONICAL}
    excluded |= {*data.features.text, *data.features.categorical, *data.segments}
    numbers: dict[str, Floats] = {}
    for name in data.known.created:
        if name in excluded or name not in tickets:
            continue
        if name == "created_at":
            days = (created - created.min()).dt.total_seconds() / 86400
            values = days if observed else days.iloc[:0]
            name = SINCE_FIRST
        elif name in date_fields(data):
            values = (created - tickets[name]).dt.total_seconds() / 86400
            name = f"days since {label_field(name.removesuffix('_at')).lower()}"
        else:
            values = pd.to_numeric(tickets[name], errors="coerce")
            # a few words among numbers are missing values; a few numbers among words are names
            if values.notna().sum() < 0.95 * tickets[name].notna().sum():
                continue
        if values.nunique() > 1:
            numbers[name] = values.to_numpy(dtype=float)
    return numbers
