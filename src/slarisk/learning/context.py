"""Context: what was known of other tickets at the moment in which a ticket was created.

Every value of a ticket is made of events strictly before its creation: tickets that were created,
ended, or whose label became known by then. So it never depends on the ticket itself, on tickets
created in the same instant, or on anything later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import CreationKind
from slarisk.errors import InputError
from slarisk.learning.splits import find_quarantined
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import UNREADABLE
from slarisk.tickets.labels import read_moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats, Integers
    from slarisk.config import DataPolicy, FeatureSet, Load, Past, Rates
    from slarisk.tickets.prepare import LabelledTickets

    Hashes = NDArray[np.uint64]

ALL = "all"  # the group of all tickets
NEVER = np.iinfo(np.int64).max  # when something happens that has not happened
_NAT = np.iinfo(np.int64).min  # of NumPy's datetimes
_UNKNOWN = "Unknown"  # the value of a field that is missing
PRIOR_TICKETS = 20  # as many as the rate of all tickets counts for in the rate of a group
_HOUR, DAY = 3_600_000_000, 86_400_000_000  # microseconds
_FEWEST_RAMP = 50  # tickets that must have ended for a ramp to be looked for
_RAMP = 0.95  # share of the tickets that have ended after a ramp
_LOW = 0.5  # of the usual backlog: below it a log begins with none


def name_load(entry: Load) -> list[str]:
    """Name the columns of an entry of ``features.load``."""
    return [name for name, _, _, _ in list_loads(entry)]


def list_loads(entry: Load) -> list[tuple[str, str, str, float]]:
    """List the columns: name, group, what is counted, and over how many hours."""
    loads = []
    for group in entry.by:
        for count in entry.counts:
            for hours in entry.hours if count != "open" else [0.0]:
                window = f"_{hours:g}h" if count != "open" else ""
                loads.append((f"{count}{window}_{_name_group(group)}", group, count, hours))
    return loads


def name_rates(entry: Rates) -> list[str]:
    """Name the columns of an entry of ``features.rates``."""
    return [name for name, _, _ in list_rates(entry)]


def list_rates(entry: Rates) -> list[tuple[str, str, float]]:
    """List the columns: name, group, and over how many days."""
    return [
        (f"breach_rate_{days:g}d_{_name_group(group)}", group, days)
        for group in entry.by
        for days in entry.days
    ]


def name_past(entry: Past) -> list[str]:
    """Name the columns of an entry of ``features.past``: three for each field."""
    return [name for field in entry.of for name in name_person(entry, field)]


def name_person(entry: Past, field: str) -> tuple[str, str, str]:
    """Name the columns of a field: its tickets, their breach rate, the hours since the last."""
    return (
        f"tickets_{entry.days:g}d_of_{field}",
        f"breach_rate_{entry.days:g}d_of_{field}",
        f"hours_since_last_of_{field}",
    )


def _name_group(group: str) -> str:
    return ALL if group == ALL else f"by_{group.replace('+', '_')}"


def split_group(group: str) -> list[str]:
    """List the fields of a group: none for all tickets."""
    return [] if group == ALL else group.split("+")


def list_groups(features: FeatureSet) -> list[str]:
    """List the groups that the context of a feature set is counted by, each once."""
    by = [group for load in features.load for group in load.by]
    by += [group for rates in features.rates for group in rates.by]
    people = [field for each in features.past for field in each.of]
    counted = [ALL] if features.rates or people else []  # rates are drawn to that of all tickets
    return list(dict.fromkeys([*counted, *by, *people]))


def list_context_names(features: FeatureSet) -> list[str]:
    """List the columns of context, in order; none if a feature set has no context."""
    people = [name for past in features.past for name in name_past(past)]
    return [*list_desk_names(features), *people]


def list_desk_names(features: FeatureSet) -> list[str]:
    """List the columns of loads and rates, which a history that is long enough always gives."""
    loads = [name for load in features.load for name in name_load(load)]
    return loads + [name for rates in features.rates for name in name_rates(rates)]


def validate_context(features: FeatureSet, data: DataPolicy) -> None:
    """Raise an InputError if a data policy does not allow the context of a feature set."""
    names = list_context_names(features)
    if not names:
        return
    if data.creation.kind is CreationKind.imputed:
        raise InputError(
            f"features={features.name} has context (load, rates, past), but the creation times of "
            f"{data.name} are imputed: what was known at a ticket's creation cannot be told."
        )
    if features.load and "resolved_at" not in data.columns:
        raise InputError(
            "features.load counts tickets until they are resolved: data.columns must map the field "
            "'resolved_at' to a column."
        )
    if taken := sorted({*names} & {*data.columns}):
        raise InputError(
            f"data policy {data.name}: {', '.join(taken)} is the name of a context feature; name "
            "the field otherwise in data.columns."
        )


@dataclass(frozen=True, eq=False)
class History:
    """The events of n tickets, and what they are counted by; no text of a ticket.

    Attributes
    ----------
    identity : uint64 array of shape (n,)
        A hash of each ticket's id and creation time.
    created, ended, known : int64 arrays of shape (n,)
        When each was created and resolved, and when its label became known: microseconds since
        1970, NEVER for what has not happened.
    breach : bool array of shape (n,)
        The labels; they mean nothing where ``known`` is NEVER.
    groups : dict of str to uint64 array of shape (n,)
        A hash of each ticket's value, by group.
    as_of : int
        The last moment the history speaks of, in microseconds; NEVER of an empty one.
    """

    identity: Hashes
    created: Integers
    ended: Integers
    known: Integers
    breach: Bools
    groups: dict[str, Hashes]
    as_of: int

    def __len__(self) -> int:
        """The number of tickets."""
        return len(self.created)

    @property
    def begins(self) -> int:
        """When the first ticket was created, in microseconds; NEVER if there is none."""
        return int(self.created.min()) if len(self) else NEVER

    @cached_property
    def timelines(self) -> dict[str, _Timeline]:
        """The events by kind, each ready to be counted."""
        levels = {name: np.unique(hashes) for name, hashes in self.groups.items()}
        codes = {name: np.searchsorted(each, self.groups[name]) for name, each in levels.items()}
        times = {"created": self.created, "ended": self.ended, "known": self.known}
        return {
            kind: _Timeline.of(moments, self.breach, codes, levels)
            for kind, moments in times.items()
        }


@dataclass(frozen=True, eq=False)
class _Timeline:
    """Events of one kind, in order of time, and in each group in order of value and time.

    An event is the number ``value * (events + 1) + place in time``: the events of a value before a
    moment are a range of the sorted numbers.
    """

    times: Integers
    numbers: dict[str, Integers]
    breached: dict[str, Integers]
    levels: dict[str, Hashes]

    @classmethod
    def of(
        cls,
        moments: Integers,
        breach: Bools,
        codes: Mapping[str, Integers],
        levels: dict[str, Hashes],
    ) -> _Timeline:
        happened = np.flatnonzero(moments != NEVER)
        order = happened[np.argsort(moments[happened], kind="stable")]
        place, step = np.arange(len(order)), len(order) + 1
        numbers, breached = {}, {}
        for name, code in codes.items():
            numbers[name] = np.sort(code[order] * step + place)
            flags = breach[order][numbers[name] % step]
            breached[name] = np.concatenate([[0], np.cumsum(flags)])
        return cls(moments[order], numbers, breached, levels)

    def count_before(self, moments: Integers) -> Integers:
        """Count the events before each moment, of all groups."""
        return np.searchsorted(self.times, moments, side="left")

    def find(self, name: str, values: Hashes, moments: Integers) -> Integers:
        """Find how many of the sorted numbers of a group come before each moment of its value."""
        levels = self.levels[name]
        code = np.searchsorted(levels, values)
        if len(levels):
            unknown = levels[np.minimum(code, len(levels) - 1)] != values
            code = np.where(unknown, len(levels), code)
        wanted = code * (len(self.times) + 1) + self.count_before(moments)
        order = np.argsort(wanted)  # a sorted search stays in the processor's cache
        found = np.empty(len(wanted), dtype=np.int64)
        found[order] = np.searchsorted(self.numbers[name], wanted[order], side="left")
        return found

    def last_before(self, name: str, values: Hashes, moments: Integers) -> Integers:
        """Give the last event before each moment of its value, in microseconds; NEVER if none."""
        if not len(self.times):
            return np.full(len(moments), NEVER)
        first = self.find(name, values, np.full(len(moments), _NAT))
        found = self.find(name, values, moments)
        last = self.numbers[name][np.maximum(found - 1, 0)] % (len(self.times) + 1)
        return np.where(found > first, self.times[last], NEVER)


def take_context(tickets: pd.DataFrame, features: FeatureSet, history: History) -> pd.DataFrame:
    """Count the context of each ticket in a history, from what was known before its creation.

    A count over a window that begins before the history does is missing, and so is everything of a
    ticket created before it. A rate is ``(breaches + 20 * overall) / (labels + 20)``, where
    ``overall`` is that of all tickets in the window; it is missing while no label is known.

    Parameters
    ----------
    tickets : DataFrame of shape (n, fields)
        Typed tickets with ``created_at`` and the fields of the groups.
    features : FeatureSet
    history : History
        Of these and other tickets; own events of a ticket never count, as they are not earlier.

    Returns
    -------
    DataFrame of shape (n, context columns)
        Floats with NaN for unknown, columns as :func:`list_context_names`, same index.
    """
    moments = read_times(get_dates(tickets, "created_at"))
    values = {name: hash_group(tickets, name) for name in list_groups(features)}
    unknown = (moments == NEVER) | (moments <= history.begins)
    moments = np.where(unknown, 0, moments)
    columns: dict[str, Floats] = {}
    for load in features.load:
        for name, group, count, hours in list_loads(load):
            counted = _count_load(history, group, values[group], moments, count, hours)
            columns[name] = np.where(unknown, np.nan, counted)
    for rates in features.rates:
        for name, group, days in list_rates(rates):
            rate = _measure_rate(history, group, values, moments, days)
            columns[name] = np.where(unknown, np.nan, rate)
    for past in features.past:
        for field in past.of:
            nobody = unknown | get_text(tickets, field).isna().to_numpy(dtype=bool)
            made = _count_past(history, field, values, moments, past.days)
            for name, column in zip(name_person(past, field), made, strict=True):
                columns[name] = np.where(nobody, np.nan, column)
    return pd.DataFrame(columns, index=tickets.index)


def _count_load(
    history: History, group: str, values: Hashes, moments: Integers, count: str, hours: float
) -> Floats:
    created, ended = history.timelines["created"], history.timelines["ended"]
    if count == "open":
        ever = np.full(len(moments), _NAT)
        arrived = created.find(group, values, moments) - created.find(group, values, ever)
        resolved = ended.find(group, values, moments) - ended.find(group, values, ever)
        return (arrived - resolved).astype(float)
    timeline = created if count == "arrived" else ended
    since = moments - round(hours * _HOUR)
    counted = timeline.find(group, values, moments) - timeline.find(group, values, since)
    return np.where(since < history.begins, np.nan, counted)


def _measure_rate(
    history: History, group: str, values: Mapping[str, Hashes], moments: Integers, days: float
) -> Floats:
    since = moments - round(days * DAY)
    known = history.timelines["known"]
    (n, breached), (all_n, all_breached) = (
        (last - first, known.breached[name][last] - known.breached[name][first])
        for name in (group, ALL)
        for first, last in [
            (known.find(name, values[name], since), known.find(name, values[name], moments))
        ]
    )
    overall: Floats = np.divide(all_breached, all_n, out=np.full(len(n), np.nan), where=all_n > 0)
    if group == ALL:
        return overall
    rate: Floats = (breached + PRIOR_TICKETS * overall) / (n + PRIOR_TICKETS)
    return rate


def _count_past(
    history: History, field: str, values: Mapping[str, Hashes], moments: Integers, days: float
) -> tuple[Floats, Floats, Floats]:
    created, since = history.timelines["created"], moments - round(days * DAY)
    who = values[field]
    earlier = created.find(field, who, moments) - created.find(field, who, since)
    last = created.last_before(field, who, moments)
    hours = (moments - np.where(last == NEVER, moments, last)) / _HOUR
    recent = (last != NEVER) & (last >= since)
    rate = _measure_rate(history, field, values, moments, days)
    return earlier.astype(float), rate, np.where(recent, hours, np.nan)


def read_times(dates: pd.Series) -> Integers:
    """Read dates as microseconds since 1970; NEVER where there is none."""
    moments = dates.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return np.where(moments == _NAT, NEVER, moments)


def hash_group(tickets: pd.DataFrame, group: str) -> Hashes:
    """Hash the value of each ticket's group, shape (n,); a missing value is one of its own."""
    fields = split_group(group)
    if not fields:
        return np.zeros(len(tickets), dtype=np.uint64)
    text = {name: get_text(tickets, name).fillna(_UNKNOWN) for name in fields}
    return _hash_rows(pd.DataFrame(text))


def _hash_rows(frame: pd.DataFrame) -> Hashes:
    hashes: Hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy().astype(np.uint64)
    return hashes


def record_tickets(tickets: pd.DataFrame, features: FeatureSet, data: DataPolicy) -> History:
    """Record the events of some tickets of an export: a part for :func:`join_parts`.

    Tickets without an id, without a creation time or with an unreadable date are left out, and of
    those in quarantine the label.

    Parameters
    ----------
    tickets : DataFrame
        As :func:`~slarisk.tickets.labels.label_tickets` gives them; some may have no label.
    features : FeatureSet
        Says which groups are needed.
    data : DataPolicy
    """
    created = get_dates(tickets, "created_at")
    usable = created.notna() & tickets["ticket_id"].notna() & (tickets[UNREADABLE] == "")
    tickets = tickets[usable.to_numpy(dtype=bool)]
    begun = read_times(tickets["created_at"])
    ended = read_times(get_dates(tickets, "resolved_at"))
    trusted = tickets["breach"].notna().to_numpy(dtype=bool)
    labelled = trusted & ~find_quarantined(tickets, data.label, data.timezone)
    known = np.where(labelled, read_times(tickets["label_known_at"]), NEVER)
    return History(
        identity=_hash_identity(tickets, begun),
        created=begun,
        # nothing of a ticket happens before it was created, whatever an export says
        ended=np.maximum(ended, begun),
        known=np.maximum(known, begun),
        breach=tickets["breach"].fillna(False).to_numpy(dtype=bool),
        groups={name: hash_group(tickets, name) for name in list_groups(features)},
        as_of=_find_as_of(begun, ended, known, data),
    )


def _find_as_of(created: Integers, ended: Integers, known: Integers, data: DataPolicy) -> int:
    """Find the last moment that tickets speak of."""
    if not len(created):
        return NEVER
    if data.label.observed_at is not None:
        named = np.datetime64(read_moment(data.label.observed_at, data.timezone), "us").astype(
            np.int64
        )
        return int(max(named, created.max()))
    dates = [created, ended, *([known] if data.label.known_at is not None else [])]
    return int(max(each[each != NEVER].max(initial=created.max()) for each in dates))


def _hash_identity(tickets: pd.DataFrame, created: Integers) -> Hashes:
    identity = pd.DataFrame({"id": get_text(tickets, "ticket_id").to_numpy(), "at": created})
    return _hash_rows(identity)


def join_parts(parts: Sequence[History], data: DataPolicy) -> History:
    """Join the parts of one export, at least one, with no ticket in two of them."""
    history = _concatenate(parts)
    if data.label.known_at is not None:
        return history
    # an open ticket is known to be late once its target has passed: not if that is still ahead
    ahead = (history.ended == NEVER) & (history.known >= history.as_of)
    return replace(history, known=np.where(ahead, NEVER, history.known))


def _concatenate(parts: Sequence[History]) -> History:
    as_of = [each.as_of for each in parts if len(each)]
    return History(
        identity=np.concatenate([each.identity for each in parts]),
        created=np.concatenate([each.created for each in parts]),
        ended=np.concatenate([each.ended for each in parts]),
        known=np.concatenate([each.known for each in parts]),
        breach=np.concatenate([each.breach for each in parts]),
        groups={
            name: np.concatenate([each.groups[name] for each in parts]) for name in parts[0].groups
        },
        as_of=max(as_of, default=NEVER),
    )


def merge_histories(older: History, newer: History) -> History:
    """Merge two histories; a ticket in both is as the one with the later last moment has it."""
    if len(older) and len(newer) and older.as_of > newer.as_of:
        older, newer = newer, older
    both = _concatenate([newer, older])
    _, kept = np.unique(both.identity, return_index=True)
    return take_tickets(both, np.sort(kept))


def take_tickets(history: History, rows: Integers) -> History:
    """Keep some tickets of a history, by position."""
    columns = ("identity", "created", "ended", "known", "breach")
    return replace(
        history,
        **{name: getattr(history, name)[rows] for name in columns},
        groups={name: each[rows] for name, each in history.groups.items()},
    )


def remember_tickets(
    tickets: LabelledTickets, features: FeatureSet, data: DataPolicy
) -> History | None:
    """Record the history of a whole export; None if a feature set has no context."""
    if not list_context_names(features):
        return None
    parts = [tickets.frame, tickets.unlabelled]
    return join_parts([record_tickets(part, features, data) for part in parts], data)


def add_context(
    tickets: pd.DataFrame, features: FeatureSet, history: History | None
) -> pd.DataFrame:
    """Add the context columns of a feature set to tickets, if it has any."""
    if history is None or not list_context_names(features):
        return tickets
    context = take_context(tickets, features, history)
    return tickets.assign(**{str(name): context[name] for name in context})


def note_ramp(history: History | None) -> tuple[str, ...]:
    """Say that a log begins in the middle, if it does, and of how many tickets that spoils."""
    ramp = None if history is None else find_ramp(history)
    if history is None or ramp is None:
        return ()
    early = int((history.created < read_times(pd.Series([ramp]))[0]).sum())
    return (
        f"The log begins in the middle: the tickets that were open on "
        f"{pd.Timestamp(history.begins, unit='us'):%Y-%m-%d} are not in it, and its backlog grows "
        f"until {ramp:%Y-%m-%d}. The load of the {early:,} tickets created before that is too low.",
    )


def find_ramp(history: History) -> pd.Timestamp | None:
    """Find until when the backlog of a log that begins in the middle grows.

    Such a log begins with no open ticket while as many arrive as later: the tickets that were open
    then are not in it. It has them all once 95% of tickets have ended. The log begins in the middle
    if on average over this time less than half as many tickets are open as usually (the median
    over later creations), while at least half as many arrive a day.

    Returns
    -------
    Timestamp or None
        None if the log does not begin so, grows for less than a day, or is too short to tell.
    """
    over = history.ended != NEVER
    if over.sum() < _FEWEST_RAMP:
        return None
    took = np.sort((history.ended - history.created)[over])
    until = history.begins + int(took[int(_RAMP * (len(took) - 1))])
    created, ended = np.sort(history.created), np.sort(history.ended[over])
    waiting = np.searchsorted(created, created) - np.searchsorted(ended, created)
    early, late = created < until, created >= until
    if until - history.begins < DAY or late.sum() < _FEWEST_RAMP:
        return None
    per_day = (early.sum() / (until - history.begins), late.sum() / max(created[-1] - until, 1))
    if waiting[early].mean() < _LOW * np.median(waiting[late]) and per_day[0] >= _LOW * per_day[1]:
        return pd.Timestamp(until, unit="us")
    return None
