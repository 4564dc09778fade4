"""From an export to labelled tickets, and the account of those without a label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.config import DataPolicy, LabelKind, SlaPolicy, UnknownPriority
from slarisk.errors import InputError
from slarisk.exports.read import read_fields
from slarisk.exports.rows import locate_row, quote_value
from slarisk.tickets.changes import join_changes, list_change_fields, read_changes
from slarisk.tickets.contract import (
    TypedTickets,
    find_unread_numbers,
    note_local_times,
    type_export,
)
from slarisk.tickets.events import collapse_events, find_last_events, leave_out_events
from slarisk.tickets.fields import (
    BECAUSE,
    LAST_EVENT,
    NEVER,
    OFFSET,
    TWICE,
    UNREADABLE,
    date_fields,
    event_fields,
    validate_policy,
)
from slarisk.tickets.label_values import list_unnamed_values, read_labels, validate_label_values
from slarisk.tickets.labels import (
    NO_ID,
    NO_LABEL,
    OPEN,
    REASONS,
    UNREADABLE_DATE,
    find_ends,
    find_open,
    fingerprint_tickets,
    impute_creation,
    is_present,
    label_tickets,
    list_label_dates,
    list_past_dates,
    names_column,
    observed_at,
    unknown_priorities,
)
from slarisk.tickets.left_out import (
    BAD_COST,
    BAD_PAUSE,
    COPY,
    DUPLICATE,
    TOTAL,
    describe_bad_cost,
    find_copies,
    find_totals,
    list_faults,
    note_faults,
    refuse_many_faults,
)
from slarisk.tickets.observation import list_dates_ahead
from slarisk.tickets.prices import is_valid_price, price_tickets
from slarisk.times.clock import counts_all_time
from slarisk.times.pauses import describe_bad_pauses, find_bad_pauses, validate_pause

if TYPE_CHECKING:
    from slarisk.config import CostPolicy, Pause
    from slarisk.decisions.costs import CostMatrix
    from slarisk.tickets.changes import FieldChanges


def read_tickets(
    policy: DataPolicy,
    required: Iterable[str] | None = None,
    path: str | None = None,
    pause: Pause | None = None,
    with_changes: bool = False,
) -> TypedTickets:
    """Read an export into one typed row per ticket, in the order of the file.

    Parameters
    ----------
    policy : DataPolicy
        What the columns of the export mean.
    required : iterable of str, optional
        Fields that must be in the file; by default all that the policy names.
    path : str, optional
        A file or glob to read instead of the policy's own.
    pause : Pause, optional
        When clocks stand still: what an event log says of it is kept in the column ``pauses``.
    with_changes : bool
        Whether to keep what each event of a log changed.

    Returns
    -------
    TypedTickets
        Its frame has the fields of the policy (dates as datetimes without zone, everything else as
        text), ``source_file``, ``source_row`` and ``unreadable_dates``. Tickets of an event log
        carry the first event's values in the fields known at creation and the last event's in the
        others; and ``last_event_at``, if dates put the events in order.
    """
    validate_policy(policy)
    needed = [*policy.columns] if required is None else [*required]
    if policy.events is not None:
        needed += ["ticket_id", *event_fields(policy)]
        needed += list_change_fields(policy) if with_changes else []
    read = read_fields(policy, needed, path)
    fields, broken = read.frame, read.broken
    last = changes = None
    if policy.events is not None:
        fields, lost = leave_out_events(fields, policy, pause)
        broken = [*broken, *lost]
        changes = read_changes(fields, policy) if with_changes else None
        last = find_last_events(fields, policy)
        fields = collapse_events(fields, policy, pause)
    typed = type_export(fields, policy)
    if last is not None:
        typed.frame[LAST_EVENT] = last.to_numpy()
    unreadable = [*typed.unreadable, *find_unread_numbers(typed.frame, policy)]
    return replace(typed, broken=broken, unreadable=unreadable, changes=changes)


# those that something is wrong with, and what
_FAULTS = {
    TOTAL: "sums up others",
    COPY: "is a copy of an earlier row",
    DUPLICATE: "repeats the id of another",
    NO_ID: "has no ticket id",
    UNREADABLE_DATE: "has a date that cannot be read",
    BAD_PAUSE: "has a pause that is none",
    BAD_COST: "has a cost that is none",
}


@dataclass(frozen=True)
class LabelledTickets:
    """Tickets with a label, and the account of those without.

    Attributes
    ----------
    frame : DataFrame
        One row per ticket in the order of the export: the policy's fields, and
        ``resolution_hours``, ``sla_target_hours``, ``target_passes_at``, ``breach`` (bool),
        ``breach_cost`` and ``escalation_cost`` (dollars; the breach cost is what is lost *if* the
        ticket breaches) and ``label_known_at``.
    rows_in : int
        Tickets read. ``rows_in == len(frame) + sum(dropped.values())``, always.
    dropped : dict of str to int
        Tickets without a label, by reason.
    fingerprint : str
        Of the tickets' content, wherever the file lies.
    unlabelled : DataFrame
        The fields of the tickets without a label, and ``no_label_because``: the reason.
    costs : CostMatrix
        What the four outcomes of each ticket in ``frame`` cost, row for row: a part of the tickets
        is priced by ``costs.take(rows)``.
    observed : Timestamp
        When the export was taken; NaT if it has no times.
    assumed : tuple of int
        Positions of tickets in ``frame`` that count as breached because they were open for so long,
        whatever became of them later.
    notes : tuple of str
        What reading and labelling found that a user should know.
    precision : dict
        To what the dates of each column are written, and how many of them: see
        :class:`~slarisk.tickets.contract.TypedTickets`.
    changes : FieldChanges or None
        What the events of a log say of each ticket in ``frame``, if that was asked for.
    """

    frame: pd.DataFrame
    rows_in: int
    dropped: dict[str, int]
    fingerprint: str
    unlabelled: pd.DataFrame
    costs: CostMatrix
    observed: pd.Timestamp
    assumed: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    precision: dict[str, dict[str, int]] = field(default_factory=dict)
    changes: FieldChanges | None = None


def prepare_tickets(
    data: DataPolicy,
    sla: SlaPolicy,
    cost: CostPolicy,
    max_rejected: float = 0.5,
    with_changes: bool = False,
) -> LabelledTickets:
    """Read an export, label its tickets and price them.

    Parameters
    ----------
    data, sla, cost : policies
    max_rejected : float
        The share of rows that may be left out because something is wrong with them.
    with_changes : bool
        Whether to keep what each event of a log changed.

    Raises
    ------
    InputError
        The export or a policy is wrong, too many rows are, or no ticket can be labelled.
    """
    refuse_mismatched_tables(sla)
    validate_clock(data, sla)
    typed = read_tickets(data, pause=sla.pause, with_changes=with_changes)
    refuse_mixed_offsets(typed, data)
    times = note_times(typed.frame, data, sla)
    every = typed.frame.drop(columns=[OFFSET, TWICE, NEVER], errors="ignore")
    rows_in = len(every) + len(typed.broken)
    totals = find_totals(every, data)
    copies, repeated = find_copies(every[~totals], data)
    every[BECAUSE] = copies.reindex(every.index, fill_value=TOTAL)
    left_out = every[every[BECAUSE] != ""]
    tickets = every[every[BECAUSE] == ""].drop(columns=BECAUSE).reset_index(drop=True)
    validate_priorities(tickets, data, sla)
    tickets["created_at"] = impute_creation(tickets, data.creation)
    tickets["resolved_at"] = find_ends(tickets)
    if data.label.column is not None and data.label.kind is LabelKind.column:
        ended = ~find_open(tickets, data).to_numpy()
        validate_label_values(tickets[data.label.column], ended, data)
    observed = observed_at(tickets, data)
    labelled = label_tickets(tickets, data, sla, observed)
    costs = price_tickets(tickets, data, sla, cost)
    details = _mark_bad_rows(labelled, costs, data, sla)
    labelled["breach_cost"], labelled["escalation_cost"] = costs.fn, costs.fp
    reasons = labelled[BECAUSE]
    kept = (reasons == "").to_numpy()
    frame = labelled[kept].drop(columns=BECAUSE).reset_index(drop=True)
    lost = pd.concat([left_out[BECAUSE], reasons[~kept]])
    counts = lost.value_counts() + 0
    dropped = {reason: int(counts.get(reason, 0)) for reason in REASONS}
    for each in typed.broken:
        dropped[each.reason] = dropped.get(each.reason, 0) + 1
    dropped = {reason: count for reason, count in dropped.items() if count}
    unusable = pd.concat([left_out, labelled[~kept]])
    if repeated:
        details[DUPLICATE] = " ".join(repeated)
    faults = list_faults(typed.broken, unusable, _FAULTS, details)
    if frame.empty:
        no_target = data.label.kind is LabelKind.target and "priority" not in data.columns
        raise InputError(
            f"{data.path}: none of its {rows_in:,} tickets can be labelled "
            f"({_describe(dropped, labelled)}). Check data.columns and data.date_formats"
            + (", and set sla.default_target." if no_target else ".")
            + "".join(f" {said}" for said in (fault.detail for fault in faults))
        )
    refuse_many_faults(data.path, faults, rows_in, max_rejected)
    if frame["breach_cost"].isna().any():
        raise InputError(
            f"data policy {data.name}: its tickets have no breach cost. Map a priority that "
            f"sla={sla.name} prices, name a cost column (data.costs.breach), or set "
            "sla.default_cost."
        )
    frame["breach"] = frame["breach"].astype(bool)
    notes = [*note_faults(faults, rows_in), *times]
    return LabelledTickets(
        frame=frame,
        rows_in=rows_in,
        dropped=dropped,
        fingerprint=fingerprint_tickets(frame, data),
        unlabelled=labelled[~kept].reset_index(drop=True),
        costs=price_tickets(frame, data, sla, cost),
        observed=observed,
        notes=(*notes, *list_notes(typed, labelled, data, observed)),
        precision=typed.precision,
        changes=None if typed.changes is None else join_changes(typed.changes, frame["ticket_id"]),
    )


def _mark_bad_rows(
    labelled: pd.DataFrame, costs: CostMatrix, data: DataPolicy, sla: SlaPolicy
) -> dict[str, str]:
    """Give tickets without a usable pause or cost a reason; say what is wrong with the first."""
    details = {}
    bad, column = find_bad_pauses(labelled, sla.pause)
    if column is not None and bad.any():
        details[BAD_PAUSE] = describe_bad_pauses(labelled, bad, column, sla.pause, data)
        labelled.loc[bad & labelled[BECAUSE].isin(["", OPEN]), BECAUSE] = BAD_PAUSE
    for price, what, dollars in (
        (data.costs.breach, "breach cost", costs.fn),
        (data.costs.escalation, "escalation cost", costs.fp),
        (data.costs.tp, "tp cost", costs.tp),
        (data.costs.tn, "tn cost", costs.tn),
    ):
        if price is None:
            continue
        bad = ~is_valid_price(pd.Series(dollars, labelled.index))
        bad &= labelled["breach"].notna() | labelled[price].notna()
        if bad.any():
            values = labelled.loc[bad, price]
            place = locate_row(labelled[bad].iloc[0])
            said = describe_bad_cost(values, place, what, data.columns[price])
            details.setdefault(BAD_COST, said)
            labelled.loc[bad & labelled[BECAUSE].isin(["", OPEN]), BECAUSE] = BAD_COST
    return details


def list_notes(
    typed: TypedTickets, labelled: pd.DataFrame, data: DataPolicy, observed: pd.Timestamp
) -> list[str]:
    """Say what could not be read, what a label column does not say, and which dates lie ahead."""
    notes = []
    for each in typed.unreadable:
        cost = (labelled[BECAUSE] == UNREADABLE_DATE) & names_column(labelled, each.column)
        count = int(cost.sum())
        lost = f"{count:,} of {len(labelled):,} tickets get no label for it" if count else ""
        notes.append(
            f"{each.count:,} values in column {each.column!r} cannot be read, the first "
            f"{each.value} in {each.place} (tried: {', '.join(each.tried)}); "
            f"{lost or 'no label needs it'}."
        )
    if data.label.kind is LabelKind.column and data.label.column is not None:
        rows = labelled[labelled[BECAUSE] == NO_LABEL]
        text = rows[data.label.column]
        if unnamed := list_unnamed_values(text, read_labels(text, data.label)):
            column = data.columns[data.label.column]
            notes.append(f"values of column {column!r} that are no label: {unnamed}.")
    resting = {data.columns[name] for name in list_label_dates(data)}
    for column, counts in typed.precision.items():
        for word in ("day", "hour"):
            if column in resting and counts.get(word):
                rest = "" if len(counts) == 1 else f" in {counts[word]:,} rows"
                notes.append(f"column {column!r} is written to the {word}{rest}.")
    return notes + list_dates_ahead(labelled, list_past_dates(labelled, data), observed, data)


def _describe(dropped: dict[str, int], tickets: pd.DataFrame) -> str:
    text = ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
    unreadable = tickets[UNREADABLE] != ""
    if unreadable.any():
        row = tickets[unreadable].iloc[0]
        text += f"; first unreadable date: column {row[UNREADABLE]!r}, {locate_row(row)}"
    return text


def validate_clock(data: DataPolicy, sla: SlaPolicy) -> None:
    """Raise if the clock of an SLA does not fit its priorities, or the data.

    Raises
    ------
    InputError
        Names the key.
    """
    validate_pause(sla.pause, data, date_fields(data))
    for name in sla.clock.priorities:
        if name not in sla.targets:
            instead = f" It is an alias of {sla.aliases[name]}." if name in sla.aliases else ""
            raise InputError(
                f"sla.clock.priorities.{name}: there is no such priority in sla.targets.{instead}"
            )
    for hours in (sla.clock, *sla.clock.priorities.values()):
        if hours.timezone is not None and data.timezone is None and not counts_all_time(hours):
            raise InputError(
                f"sla.clock.timezone={hours.timezone}: name the time zone of the tickets' times, "
                f"too, for those without an offset: data.timezone={hours.timezone}."
            )


def refuse_mixed_offsets(typed: TypedTickets, data: DataPolicy) -> None:
    """Raise if some of the times that labels rest on have an offset from UTC, and others none."""
    if data.timezone is not None:
        return
    counts = [typed.offsets[name] for name in list_label_dates(data) if name in typed.offsets]
    aware, naive = (sum(each[place] for each in counts) for place in (0, 1))
    if aware and naive:
        raise InputError(
            f"{data.path}: {naive:,} of the {aware + naive:,} times that labels rest on have no "
            "offset from UTC, and the others have one. Name the time zone of those without: "
            "data.timezone=Europe/Berlin, for example, or data.timezone=UTC."
        )


def note_times(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> tuple[str, ...]:
    """Say what was decided about times that can be read in two ways.

    Raises
    ------
    InputError
        Times carry offsets, and nothing says in which time zone the working hours are.
    """
    counts = {key: int(tickets[key].sum()) for key in (OFFSET, TWICE, NEVER) if key in tickets}
    if counts.get(OFFSET):
        hours = [sla.clock, *sla.clock.priorities.values()]
        if not all(counts_all_time(each) for each in hours):
            raise InputError(
                f"data.timezone: must name a time zone with clock={sla.clock.name}: "
                f"{counts[OFFSET]:,} times carry an offset, so working hours cannot be those of "
                "the times as they are written."
            )
    return tuple(note_local_times(counts, data.timezone))


def validate_priorities(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> None:
    """Raise if a priority has no SLA target and the policy is ``unknown_priority: error``."""
    if sla.unknown_priority is not UnknownPriority.error:
        return
    unknown = unknown_priorities(tickets, data, sla) & is_present(tickets, "priority")
    if unknown.any():
        rows = tickets[unknown]
        names = ", ".join(quote_value(name) for name in rows["priority"].unique()[:5])
        raise InputError(
            f"{locate_row(rows.iloc[0])}: the SLA policy {sla.name!r} has no target for priority "
            f"{names} ({len(rows):,} tickets). Name it in sla.aliases or sla.targets, or set "
            "sla.unknown_priority=drop."
        )


def refuse_mismatched_tables(sla: SlaPolicy) -> None:
    """Raise if the tables of an SLA policy contradict each other."""
    if set(sla.targets) != set(sla.costs):
        odd = ", ".join(sorted(set(sla.targets) ^ set(sla.costs)))
        raise InputError(f"sla: {odd} must stand in both sla.targets and sla.costs.")
    for alias, name in sla.aliases.items():
        if name not in sla.targets:
            raise InputError(
                f"sla.aliases.{alias}={name}: there is no such priority in sla.targets."
            )
    for key in ("default_target", "default_cost"):
        if getattr(sla, key) is None and sla.unknown_priority is UnknownPriority.default:
            raise InputError(f"sla.unknown_priority=default needs sla.{key}.")
