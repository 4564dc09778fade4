"""The canonical SLA engine: creation, resolution hours, target, breach and cost of each ticket."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from slarisk.config import CreationKind, DataPolicy, EffectKind, LabelKind, SlaPolicy
from slarisk.decisions.effect import list_idle_keys
from slarisk.tickets.contract import (
    get_dates,
)
from slarisk.tickets.fields import (
    ARRIVED,
    BECAUSE,
    DATED,
    LAST_EVENT,
    UNREADABLE,
    date_fields,
    fold_status,
    sla_fields,
)
from slarisk.tickets.label_values import read_labels
from slarisk.tickets.left_out import (
    BAD_COST,
    BAD_PAUSE,
    COPY,
    DUPLICATE,
    TOTAL,
)
from slarisk.tickets.observation import find_latest
from slarisk.tickets.prices import look_up_priority, uses_default
from slarisk.times.clock import TicketClock
from slarisk.times.pauses import (
    read_paused,
    read_pauses,
)
from slarisk.times.zones import read_local

if TYPE_CHECKING:
    from slarisk.arrays import Floats
    from slarisk.config import CostPolicy, Creation

# Why a ticket has no label, in the order in which a reason is given.
NO_ID = "no_ticket_id"
CANCELLED = "cancelled"
UNREADABLE_DATE = "unreadable_date"
UNKNOWN_PRIORITY = "unknown_priority"
NO_SLA = "no_sla"  # no due date, or no target: nothing to breach
CLOSED_UNDATED = "closed_without_date"
DUE_BEFORE_CREATED = "due_before_created"
OPEN = "open"
NO_TIMES = "no_times"
BEFORE_CREATED = "resolved_before_created"
NO_LABEL = "no_label"
REASONS = (
    TOTAL,
    COPY,
    DUPLICATE,
    NO_ID,
    CANCELLED,
    UNREADABLE_DATE,
    UNKNOWN_PRIORITY,
    NO_SLA,
    DUE_BEFORE_CREATED,
    CLOSED_UNDATED,
    OPEN,
    NO_TIMES,
    BEFORE_CREATED,
    NO_LABEL,
    BAD_PAUSE,
    BAD_COST,
)

_NO_CLOCK = SlaPolicy()
_SHORTEST = 1e-9  # hours: long enough to be escalated at creation


def find_ends(tickets: pd.DataFrame) -> pd.Series:
    """Return when each ticket was resolved: as written, or as its time to resolve says."""
    if "resolution_hours" not in tickets or "resolved_at" in tickets:
        return get_dates(tickets, "resolved_at")
    hours = _read_given_hours(tickets)
    took = pd.to_timedelta((hours * 3.6e9).round().astype("Int64"), unit="us")
    return get_dates(tickets, "created_at") + took


def _read_given_hours(tickets: pd.DataFrame) -> pd.Series:
    """Return the hours that each ticket took where the export says so itself."""
    if "resolution_hours" not in tickets:
        return pd.Series(np.nan, index=tickets.index)
    return pd.to_numeric(tickets["resolution_hours"], errors="coerce").astype(float)


def find_closed(tickets: pd.DataFrame, data: DataPolicy) -> pd.Series:
    """Mask of tickets whose status is one of ``closed_statuses``."""
    return _has_status(tickets, data.label.closed_statuses)


def _has_status(tickets: pd.DataFrame, statuses: list[str]) -> pd.Series:
    if not statuses or "status" not in tickets:
        return pd.Series(False, index=tickets.index)
    wanted = {fold_status(each) for each in statuses}
    return tickets["status"].str.casefold().isin(wanted)


def find_open(tickets: pd.DataFrame, data: DataPolicy) -> pd.Series:
    """Mask of tickets that have no outcome yet, whatever their label column says.

    Those are neither resolved nor closed, and have no date at which the label was known. None is
    open if the column is final, or if nothing tells.
    """
    if data.label.final or not tells_ends(data):
        return pd.Series(False, index=tickets.index)
    return ~_has_ended(tickets, data)


def tells_ends(data: DataPolicy) -> bool:
    """Whether anything in a policy tells which tickets have ended."""
    label = data.label
    dated = {"resolved_at", "resolution_hours"} & set(data.columns)
    return bool(dated or label.known_at or label.closed_statuses)


def _has_ended(tickets: pd.DataFrame, data: DataPolicy) -> pd.Series:
    ended = find_ends(tickets).notna() | find_closed(tickets, data)
    if data.label.known_at is not None:
        ended |= get_dates(tickets, data.label.known_at).notna()
    return ended


def find_open_at(tickets: pd.DataFrame, data: DataPolicy, at: pd.Timestamp) -> pd.Series:
    """Mask of tickets that were open at a moment, by what is known of them now.

    All, if nothing tells which have ended.
    """
    ends = find_ends(tickets)
    known = data.label.known_at
    closed_later = ends > at
    if known is not None:
        closed_later |= ends.isna() & (get_dates(tickets, known) > at)
    still_open: pd.Series = ~_has_ended(tickets, data) | closed_later
    return still_open


def impute_creation(tickets: pd.DataFrame, creation: Creation) -> pd.Series:
    """Return the creation time of each ticket; imputed ones are drawn as in the notebook.

    The draws are numpy's legacy ``RandomState(seed).randint(low, high + 1, n)`` over the ``n``
    tickets that have both a first response and a resolution, in the order of the export.
    """
    if creation.kind is CreationKind.observed:
        return get_dates(tickets, "created_at")
    both = tickets["first_response_at"].notna() & tickets["resolved_at"].notna()
    # the legacy generator is what the notebook's numbers rest on
    draws = np.random.RandomState(creation.seed).randint(
        creation.low_hours, creation.high_hours + 1, size=int(both.sum())
    )
    created = pd.Series(pd.NaT, index=tickets.index, dtype="datetime64[us]")
    created[both] = tickets.loc[both, "first_response_at"] - pd.to_timedelta(draws, unit="h")
    return created


def label_tickets(
    tickets: pd.DataFrame,
    data: DataPolicy,
    sla: SlaPolicy,
    observed: pd.Timestamp,
) -> pd.DataFrame:
    """Add target, breach and the moment the label was known.

    Parameters
    ----------
    tickets : DataFrame
        As :func:`~slarisk.tickets.contract.read_tickets` gives them, with ``created_at``.
    data, sla : policies
        Where the label comes from.
    observed : Timestamp
        When the export was taken: an open ticket whose target passed before it is a breach.

    Returns
    -------
    DataFrame
        The tickets with ``resolution_hours``, ``sla_target_hours``, ``target_passes_at`` (missing
        where a column says who breached and there is no due date), ``breach`` (nullable),
        ``label_known_at`` and ``no_label_because`` (empty where there is one).
    """
    labelled = tickets.copy(deep=False)
    created, resolved = get_dates(labelled, "created_at"), find_ends(labelled)
    clock = make_clock(labelled, data, sla, observed)
    hours = clock.elapsed(created, resolved).dt.total_seconds() / 3600
    given = _read_given_hours(labelled).where(resolved.notna())  # on a clock of its own, perhaps
    labelled["resolution_hours"] = given.fillna(hours)
    labelled["sla_target_hours"] = _target_hours(labelled, data, sla, clock)
    labelled["open_hours"] = measure_open_hours(labelled, data, resolved)
    labelled["breaches_after"] = find_breach_age(labelled, data, clock)
    if data.label.kind is LabelKind.column:
        due = get_dates(labelled, "due_at")
        labelled["target_passes_at"] = due.mask(due < created)  # no ticket is late from the start
        labels = _label_by_column(labelled, data, resolved, observed)
    else:
        labelled["target_passes_at"] = _pass_targets(labelled, data, clock)
        labels = _label_by_time(labelled, data, resolved, observed, given.notna())
    labelled[["breach", "label_known_at", BECAUSE]] = labels
    if data.label.known_at is not None:
        labelled["label_known_at"] = get_dates(labelled, data.label.known_at)
    known = labelled["label_known_at"]
    labelled["label_known_at"] = known.mask(
        known < created, created
    )  # not before there is a ticket
    unreadable = pd.Series(False, index=labelled.index)
    if (labelled[UNREADABLE] != "").any():
        for name in list_label_dates(data):
            unreadable |= names_column(labelled, data.columns[name])
    labelled[BECAUSE] = np.select(
        [
            labelled["ticket_id"].isna(),
            _has_status(labelled, data.label.cancelled_statuses),
            unreadable,
            unknown_priorities(labelled, data, sla) & (_on_unknown(sla) != "default"),
        ],
        [NO_ID, CANCELLED, UNREADABLE_DATE, UNKNOWN_PRIORITY],
        default=labelled[BECAUSE],
    )
    return labelled


def list_label_dates(data: DataPolicy) -> list[str]:
    """List the dates and durations without which a ticket has no label."""
    label = data.label
    names = ["created_at", "resolved_at", "resolution_hours"]
    if label.kind is LabelKind.column and (label.known_at or label.final):
        names = ["created_at", *filter(None, [label.known_at])]
    if label.kind is LabelKind.due_date:
        names += ["due_at"]
    if label.kind is LabelKind.target:
        names += ["sla_target_hours"]
    if data.creation.kind is CreationKind.imputed:
        names += ["first_response_at"]
    return [name for name in names if name in data.columns]


def _on_unknown(sla: SlaPolicy) -> str:
    return sla.unknown_priority.value


def measure_open_hours(tickets: pd.DataFrame, data: DataPolicy, resolved: pd.Series) -> pd.Series:
    """Measure for how long a ticket can be escalated, in hours on the clock.

    0 for tickets that arrive resolved; infinite for those that are open; next to nothing for those
    that took no time on the clock, or closed nobody knows when: at creation and never later.
    """
    created = get_dates(tickets, "created_at")
    hours = tickets["resolution_hours"].clip(lower=0).replace(0.0, _SHORTEST)
    hours = hours.fillna(_SHORTEST).mask(find_open(tickets, data), np.inf)
    if ARRIVED in tickets:
        arrived = tickets[ARRIVED].fillna(False).astype(bool)
    else:  # in the very second; a day without a time says nothing of the kind
        arrived = resolved == created
        if DATED in tickets:
            arrived &= ~tickets[DATED].astype(bool)
    return hours.mask(arrived, 0.0)


def measure_age_and_target(
    tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy, as_of: pd.Series
) -> tuple[Floats, Floats]:
    """Measure how old tickets are at some moments, and how old they may be.

    Parameters
    ----------
    tickets : DataFrame of n rows
        Typed tickets.
    data, sla : policies
    as_of : Series of datetimes, shape (n,)

    Returns
    -------
    age, target : arrays of shape (n,)
        Hours on the clock. The age is at least 0; the target NaN where there is none.
    """
    clock = make_clock(tickets, data, sla, as_of.max())
    age = clock.elapsed(get_dates(tickets, "created_at"), as_of).dt.total_seconds() / 3600
    hours = _target_hours(tickets, data, sla, clock)
    target = find_breach_age(tickets.assign(sla_target_hours=hours), data, clock)
    return age.clip(lower=0).to_numpy(dtype=float), target.to_numpy(dtype=float)


def find_breach_age(tickets: pd.DataFrame, data: DataPolicy, clock: TicketClock) -> pd.Series:
    """Find after how many hours on the clock each ticket breaches; missing where only a label is.

    A label column that names the tickets which breached does not say when they did.
    """
    if data.label.kind is not LabelKind.column:
        return tickets["sla_target_hours"]
    return _promised_hours(tickets, clock)


def _label_by_time(
    tickets: pd.DataFrame,
    data: DataPolicy,
    resolved: pd.Series,
    observed: pd.Timestamp,
    given: pd.Series,
) -> pd.DataFrame:
    """Label by resolution time; an open ticket past its target is a breach, in time it is open.

    A ticket that took no time met its target, unless its creation was imputed. Where the hours that
    a ticket took are ``given`` by the export, they are compared with its target.
    """
    created = get_dates(tickets, "created_at")
    imputed = data.creation.kind is CreationKind.imputed
    took = tickets["resolution_hours"]
    overdue_at = tickets["target_passes_at"]
    closed = find_closed(tickets, data)
    still_open = resolved.isna() & ~closed
    late = (resolved > overdue_at).mask(given, took > tickets["sla_target_hours"])
    late |= still_open & (overdue_at < observed)
    sound = (resolved > created) if imputed else (resolved >= created)
    sound = sound.mask(given, took >= 0)
    due_first = tickets["sla_target_hours"] < 0
    if data.label.kind is LabelKind.due_date:
        due_first |= tickets["due_at"] < created
    # a breach is known the moment the target passes, whenever the ticket is resolved
    known = overdue_at.where(late & ~(resolved < overdue_at), resolved)
    reason = np.select(
        [
            find_without_sla(tickets, data),
            due_first,
            resolved.isna() & closed,
            still_open & ~late,
            created.isna(),
            ~still_open & ~sound,
            tickets["sla_target_hours"].isna(),
        ],
        [
            NO_SLA,
            DUE_BEFORE_CREATED,
            CLOSED_UNDATED,
            OPEN,
            NO_TIMES,
            BEFORE_CREATED,
            NO_LABEL,
        ],
        default="",
    )
    breach = late.astype("boolean").mask(pd.Series(reason != "", tickets.index))
    return pd.DataFrame({"breach": breach, "label_known_at": known, BECAUSE: reason})


def find_without_sla(tickets: pd.DataFrame, data: DataPolicy) -> pd.Series:
    """Mask of tickets that have no due date or no target of their own, where others have one.

    One that could not be read is none of them.
    """
    without = pd.Series(False, index=tickets.index)
    for name in sla_fields(data):
        if name in tickets:
            without |= tickets[name].isna() & ~names_column(tickets, data.columns[name])
    return without


def _label_by_column(
    tickets: pd.DataFrame, data: DataPolicy, resolved: pd.Series, observed: pd.Timestamp
) -> pd.DataFrame:
    """Label by a column; an open ticket has no outcome, but is a breach past its deadline."""
    said = read_labels(tickets[data.label.column], data.label)
    overdue_at = tickets["target_passes_at"]
    if data.label.late_if_open_after is not None:
        age = pd.Timedelta(hours=data.label.late_if_open_after)
        overdue_at = overdue_at.fillna(get_dates(tickets, "created_at") + age)
    still_open = find_open(tickets, data)
    silent = tickets[data.label.column].isna() & resolved.isna() & ~find_closed(tickets, data)
    overdue = (still_open | silent) & (overdue_at < observed)
    breach = said.mask(still_open) | overdue
    reason = np.select([breach.notna(), still_open], ["", OPEN], default=NO_LABEL)
    # a breach is known the moment its due date passes, or with the resolution if that is first
    due = overdue_at.where(overdue, tickets["target_passes_at"])
    known = resolved.where(~breach.fillna(False) | due.isna() | (resolved < due), due)
    return pd.DataFrame({"breach": breach, "label_known_at": known, BECAUSE: reason})


def make_clock(
    tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy, observed: pd.Timestamp
) -> TicketClock:
    """Make the clock of tickets: the working hours of each by its priority, and its pauses.

    Parameters
    ----------
    tickets : DataFrame
        Typed tickets.
    data, sla : policies
    observed : Timestamp
        Until then an open ticket is paused if nothing says that its pause ended.
    """
    names = [name for name in sla.clock.priorities if "priority" in tickets]
    calendars = [sla.clock, *(sla.clock.priorities[name] for name in names)]
    codes = np.zeros(len(tickets), dtype=np.int64)
    if names:
        places = {name: float(place) for place, name in enumerate(names, 1)}
        codes = look_up_priority(tickets, data, sla, places, 0.0).to_numpy().astype(np.int64)
    ended = find_ends(tickets).fillna(observed.as_unit("us"))
    pauses = read_pauses(tickets, sla.pause, ended)
    return TicketClock(calendars, codes, data.timezone, pauses, read_paused(tickets, sla.pause))


def observed_at(tickets: pd.DataFrame, data: DataPolicy) -> pd.Timestamp:
    """Return the moment the export was taken: as configured, or the latest time in the data.

    See :func:`~slarisk.tickets.observation.find_latest`; NaT if there are no times.
    """
    if data.label.observed_at is not None:
        return read_moment(data.label.observed_at, data.timezone)
    return find_latest(list_past_dates(tickets, data))


def list_past_dates(tickets: pd.DataFrame, data: DataPolicy) -> dict[str, pd.Series]:
    """Collect the times of what has happened, by field; a due date may lie ahead."""
    names = [name for name in date_fields(data) if name != "due_at"]
    names += ["resolved_at"] if "resolution_hours" in data.columns else []
    names += [LAST_EVENT]
    return {name: tickets[name] for name in dict.fromkeys(names) if name in tickets}


def read_moment(text: str, timezone: str | None) -> pd.Timestamp:
    """Read a moment written in a config; without an offset it is one of the data's time zone."""
    moment = pd.Timestamp(text)
    # like the dates of tickets: in UTC, without saying so
    if moment.tz is not None:
        return moment.tz_convert(None)
    if timezone is None:
        return moment
    read: pd.Timestamp = read_local(pd.Series([moment]), timezone)[0].iloc[0]
    return read


def _pass_targets(tickets: pd.DataFrame, data: DataPolicy, clock: TicketClock) -> pd.Series:
    """Find when the target of each ticket passes."""
    if data.label.kind is LabelKind.due_date:
        return clock.move(tickets["created_at"], tickets["due_at"])
    return clock.pass_at(tickets["created_at"], tickets["sla_target_hours"])


def _target_hours(
    tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy, clock: TicketClock
) -> pd.Series:
    if data.label.kind is LabelKind.due_date:
        return _promised_hours(tickets, clock)
    if "sla_target_hours" in data.columns and data.label.kind is LabelKind.target:
        return pd.to_numeric(tickets["sla_target_hours"], errors="coerce").astype(float)
    default = sla.default_target if uses_default(data, sla) else None
    return look_up_priority(tickets, data, sla, sla.targets, default)


def _promised_hours(tickets: pd.DataFrame, clock: TicketClock) -> pd.Series:
    """Measure the hours from creation to the due date, without pauses."""
    working = TicketClock(clock.calendars, clock.codes, clock.zone)
    promised = working.elapsed(get_dates(tickets, "created_at"), get_dates(tickets, "due_at"))
    hours: pd.Series = promised.dt.total_seconds() / 3600
    return hours


def unknown_priorities(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> pd.Series:
    """Mask of tickets that need an SLA target or cost by priority, and whose priority has none."""
    priced = data.costs.breach is not None and data.label.kind is not LabelKind.target
    if "priority" not in tickets or priced:
        return pd.Series(False, index=tickets.index)
    return look_up_priority(tickets, data, sla, sla.targets, None).isna()


def is_present(tickets: pd.DataFrame, name: str) -> pd.Series:
    """Mask of tickets that have a value in a field; none if there is no such field."""
    return tickets[name].notna() if name in tickets else pd.Series(False, index=tickets.index)


def fingerprint_tickets(frame: pd.DataFrame, data: DataPolicy) -> str:
    """Fingerprint the labelled tickets: their content, not the place or order of the file."""
    content = frame[sorted({*data.columns, "created_at"} & set(frame))]
    rows = pd.util.hash_pandas_object(content, index=False).to_numpy()
    return hashlib.sha256(np.sort(rows).tobytes()).hexdigest()[:16]


def fingerprint_policy(sla: SlaPolicy, cost: CostPolicy) -> str:
    """Fingerprint what a ticket's label and costs rest on: SLA and cost policy."""
    from slarisk.config import CostPolicy as Cost

    # clock and effect came later: one that says nothing is left out, so that old fingerprints stay
    later = {name for name in ("clock", "pause") if getattr(sla, name) == getattr(_NO_CLOCK, name)}
    text = TypeAdapter(SlaPolicy).dump_json(sla, exclude=later)
    silent = {"effect"} if cost.effect is EffectKind.constant else set()
    text += TypeAdapter(Cost).dump_json(cost, exclude={*list_idle_keys(cost), *silent})
    return hashlib.sha256(text).hexdigest()[:16]


def names_column(tickets: pd.DataFrame, column: str) -> pd.Series:
    """Mask of tickets of which the date in a column could not be read."""
    return (", " + tickets[UNREADABLE] + ", ").str.contains(f", {column}, ", regex=False)
