"""The fields of a data policy: what each holds, and when it becomes known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from slarisk.config import CreationKind, LabelKind, Moment
from slarisk.errors import InputError
from slarisk.exports.rows import SOURCE_FILE, SOURCE_ROW
from slarisk.times.dates import (
    ISO_8601,
    confuses_day_and_month,
    validate_formats,
)
from slarisk.times.event_pauses import PAUSES

if TYPE_CHECKING:
    from slarisk.config import ChosenEvent, DataPolicy

DATE_FIELDS = ("created_at", "first_response_at", "resolved_at", "due_at")
DURATION_FIELDS = ("resolution_hours", "sla_target_hours")
UNREADABLE = "unreadable_dates"  # the date fields of a ticket that could not be read
LAST_EVENT = "last_event_at"  # of a ticket in an event log that is ordered by date
ARRIVED = "arrived_resolved"  # whether the first event of a ticket says that it is resolved
# of an open ticket: when it is looked at, its age and its target then (hours), its last event
AS_OF, AGE, TARGET, LAST_CHANGE = "as_of", "age_hours", "target_hours", "last_change_at"
DATED = "dated_to_the_day"  # whether a ticket was opened or resolved on a day without a time
BECAUSE = "no_label_because"  # why a ticket has no label
# how many of its times carry an offset, which is only counted where the policy has no time zone;
# or how many occur twice on local clocks, and how many not at all
OFFSET, TWICE, NEVER = "times_with_offset", "times_that_occur_twice", "times_that_do_not_occur"
# what labelling adds to the fields of a policy
ADDED = (
    "resolution_hours",
    "sla_target_hours",
    "breach",
    "breach_cost",
    "escalation_cost",
    "target_passes_at",
    "label_known_at",
    "open_hours",
    "breaches_after",
    ARRIVED,
    DATED,
    BECAUSE,
    LAST_EVENT,
    AS_OF,
    AGE,
    TARGET,
    LAST_CHANGE,
    PAUSES,
    OFFSET,
    TWICE,
    NEVER,
)
_MOMENTS = list(Moment)


def list_formats(policy: DataPolicy, name: str) -> list[str]:
    """List the date formats of a field, in the order in which they are tried."""
    formats = policy.formats_of.get(name, policy.date_formats)
    # typed dates (Parquet) come as ISO 8601, whatever the text of this system looks like
    if ISO_8601 in formats or any(confuses_day_and_month(each, ISO_8601) for each in formats):
        return formats
    return [*formats, ISO_8601]


def date_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that hold dates."""
    return [name for name in (*DATE_FIELDS, *policy.dates) if name in policy.columns]


def duration_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that hold durations."""
    names = dict.fromkeys([*DURATION_FIELDS, *policy.durations])
    return [name for name in names if name in policy.columns]


def cost_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that hold the costs of each ticket."""
    return [name for name in vars(policy.costs).values() if name is not None]


def number_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that hold numbers."""
    order = [policy.events.order] if policy.events else []
    names = [*policy.features.numeric, *cost_fields(policy), *duration_fields(policy), *order]
    names += policy.numbers
    dates = date_fields(policy)
    return [
        name for name in dict.fromkeys(filter(None, names))
        if name in policy.columns and name not in dates
    ]  # fmt: skip


def sla_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy without which a ticket has no SLA."""
    match policy.label.kind:
        case LabelKind.due_date:
            names = ["due_at"]
        case LabelKind.target:
            names = ["sla_target_hours"]
        case LabelKind.column:
            names = []
    return [name for name in names if name in policy.columns]


def outcome_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that the label of a ticket rests on."""
    names = ["created_at", "resolved_at", *DURATION_FIELDS]
    if policy.label.kind is not LabelKind.target:
        names += ["due_at"]
    if policy.label.closed_statuses or policy.label.cancelled_statuses:
        names += ["status"]
    names += [name for name in (policy.label.column, policy.label.known_at) if name is not None]
    if policy.creation.kind is CreationKind.imputed:
        names += ["first_response_at"]
    names += [policy.times[name] for name in names if name in policy.times]
    return [name for name in dict.fromkeys(names) if name in policy.columns]


def list_change_dates(policy: DataPolicy) -> list[str]:
    """List the field with the date of an event, where the policy names one."""
    return [policy.events.changed_at] if policy.events and policy.events.changed_at else []


def list_taken_fields(policy: DataPolicy) -> dict[str, ChosenEvent]:
    """List the fields that come from events of their own, each with its time of day."""
    assert policy.events is not None
    taken = dict(policy.events.take)
    for name, chosen in policy.events.take.items():
        if name in policy.times:
            taken.setdefault(policy.times[name], chosen)
    return taken


def event_fields(policy: DataPolicy) -> list[str]:
    """The fields that events are put in order and told apart by; none without an event log."""
    if policy.events is None:
        return []
    names = [policy.events.order, policy.times.get(policy.events.order), policy.events.kind]
    return [name for name in names if name is not None]


def validate_policy(policy: DataPolicy) -> None:
    """Raise if a data policy contradicts itself or names fields that it does not map."""
    _check_formats(policy)
    _check_imputation(policy)
    if policy.thousands == policy.decimal:
        raise InputError(f"data.thousands={policy.thousands}: is the decimal mark (data.decimal).")
    mentioned: dict[str, Iterable[str]] = {
        "dates": policy.dates,
        "numbers": policy.numbers,
        "values": policy.values,
        "ignore_case": policy.ignore_case,
        "formats_of": policy.formats_of,
        "times": [*policy.times, *policy.times.values()],
        "durations": policy.durations,
        "known.created": policy.known.created,
        "known.first_response": policy.known.first_response,
        "known.resolved": policy.known.resolved,
        "known.changing": policy.known.changing,
        "known.vouched": policy.known.vouched,
        "label.column": [policy.label.column] if policy.label.column else [],
        "label.known_at": [policy.label.known_at] if policy.label.known_at else [],
        "costs": cost_fields(policy),
        "events.order": [policy.events.order] if policy.events else [],
        "events.kind": [policy.events.kind] if policy.events and policy.events.kind else [],
        "events.take": policy.events.take if policy.events else [],
        "events.changed_at": list_change_dates(policy),
    }
    available = {*policy.columns, *_derived_fields(policy)}
    for key, names in mentioned.items():
        for name in names:
            if name not in available:
                raise InputError(
                    f"data policy {policy.name}: {key} names the field {name!r}, which "
                    f"data.columns does not map. Fields: {', '.join(sorted(available))}."
                )
    _check_names(policy)
    _check_changes(policy)
    needed = ["ticket_id", *_label_fields(policy), *_imputation_fields(policy)]
    for name in needed:
        if name not in available:
            raise InputError(
                f"data policy {policy.name}: data.columns must map the field {name!r} to a column."
            )
    known = [*policy.known.created, *policy.known.first_response, *policy.known.resolved]
    twice = sorted({name for name in known if known.count(name) > 1})
    if twice:
        raise InputError(
            f"data policy {policy.name}: known lists {', '.join(twice)} under two moments."
        )
    if policy.events is not None and policy.events.kind is None:
        asked = [name for name, chosen in policy.events.take.items() if chosen.of]
        if asked:
            raise InputError(
                f"data policy {policy.name}: events.take.{asked[0]}.of names kinds of events; "
                "events.kind must say in which field they stand."
            )


def _check_formats(policy: DataPolicy) -> None:
    """Raise if a date format can read no date, or two read a day as a month."""
    validate_formats("data.date_formats", policy.date_formats)
    for name, formats in policy.formats_of.items():
        validate_formats(f"data.formats_of.{name}", formats)


def _check_changes(policy: DataPolicy) -> None:
    """Raise if fields are to be read as of a moment, and nothing says how they stood then."""
    if policy.known.changing and policy.events is None:
        raise InputError(
            f"data policy {policy.name}: known.changing names fields as they stand at any moment, "
            "which takes an event log (data.events). A table of tickets has them as they stood "
            "when the export was taken."
        )
    for name in list_change_dates(policy):
        if name not in date_fields(policy):
            raise InputError(
                f"data policy {policy.name}: events.changed_at={name} must be a date; list it in "
                "data.dates."
            )


def _check_imputation(policy: DataPolicy) -> None:
    creation = policy.creation
    if creation.low_hours > creation.high_hours:
        raise InputError(
            f"data.creation.low_hours={creation.low_hours}: must not be above "
            f"data.creation.high_hours={creation.high_hours}."
        )


def _check_names(policy: DataPolicy) -> None:
    """Raise if a field has a reserved name, or is a date where text is needed."""
    label, costs = policy.label, policy.costs
    # a label or a cost that is in the data may go by the name of what it gives
    its_own = {("breach", label.column), ("breach_cost", costs.breach)}
    its_own |= {("escalation_cost", costs.escalation)}
    its_own |= {(name, name) for name in DURATION_FIELDS}
    for name in {*ADDED, SOURCE_FILE, SOURCE_ROW, UNREADABLE} & {*policy.columns}:
        if (name, name) not in its_own:
            raise InputError(
                f"data policy {policy.name}: a field cannot be called {name}, which is computed "
                f"here. Give it another name before the colon in data.columns, such as "
                f"{name}_given: {policy.columns[name]}, and wherever the policy speaks of it."
            )
    dates = date_fields(policy)
    texts = ["ticket_id", "priority", label.column, *cost_fields(policy)]
    for field in [*texts, *duration_fields(policy), *policy.times.values()]:
        if field in dates:
            raise InputError(f"data policy {policy.name}: the field {field} cannot be a date.")
    for key, names in (("times", policy.times), ("formats_of", policy.formats_of)):
        for field in names:
            if field not in dates:
                raise InputError(
                    f"data policy {policy.name}: {key}.{field} must be a date; list it in "
                    "data.dates."
                )
    if label.closed_statuses or label.cancelled_statuses:
        if "status" not in policy.columns:
            raise InputError(
                f"data policy {policy.name}: label.closed_statuses and label.cancelled_statuses "
                "are values of the field status, which data.columns does not map."
            )
        both = {fold_status(each) for each in label.closed_statuses}
        both &= {fold_status(each) for each in label.cancelled_statuses}
        if both:
            raise InputError(
                f"data policy {policy.name}: {', '.join(sorted(both))} stands in "
                "label.closed_statuses and label.cancelled_statuses."
            )
    if label.known_at is not None and label.known_at not in {*dates, "created_at"}:
        raise InputError(
            f"data policy {policy.name}: label.known_at={label.known_at} must be a date; list it "
            "in data.dates."
        )


def _label_fields(policy: DataPolicy) -> list[str]:
    match policy.label.kind:
        case LabelKind.target:
            return ["created_at", "resolved_at"]
        case LabelKind.due_date:
            return ["created_at", "resolved_at", "due_at"]
        case LabelKind.column:
            return [policy.label.column or "label.column"]


def _imputation_fields(policy: DataPolicy) -> list[str]:
    imputed = policy.creation.kind is CreationKind.imputed
    return ["first_response_at", "resolved_at"] if imputed else []


def _derived_fields(policy: DataPolicy) -> list[str]:
    created = ["created_at"] if policy.creation.kind is CreationKind.imputed else []
    # the end of a ticket follows from how long it took
    return created + (["resolved_at"] if "resolution_hours" in policy.columns else [])


def list_segments(policy: DataPolicy) -> list[str]:
    """List the fields whose breach rates make the segment rule.

    They are the policy's ``segments``; if it maps none of them, its first two categorical fields
    that are known at creation, as many as ``segments`` names by default.
    """
    named = [name for name in policy.segments if name in policy.columns]
    known = [name for name in policy.features.categorical if name in policy.known.created]
    return named or [name for name in known if name in policy.columns][:2]


def note_segments(policy: DataPolicy) -> list[str]:
    """Say by which fields the segment rule goes, where the policy maps none of its segments."""
    if any(name in policy.columns for name in policy.segments):
        return []
    found = list_segments(policy)
    rates = f"by {' and '.join(found)}" if found else "by the breach rate of all tickets"
    return [f"data.segments names no field of the policy: the segment rule goes {rates}."]


def moment_known(field: str, policy: DataPolicy) -> Moment:
    """Return when a field becomes known: never, if the policy does not list it."""
    for moment in (Moment.created, Moment.first_response, Moment.resolved):
        if field in getattr(policy.known, moment.value):
            return moment
    return Moment.never


def validate_known(fields: Iterable[str], policy: DataPolicy, moment: Moment) -> None:
    """Raise if a feature is not known at the prediction moment.

    Raises
    ------
    InputError
        Names each field, its column, the moment it becomes known and the policy.
    """
    late = []
    for field in fields:
        known = moment_known(field, policy)
        if not _is_known(field, policy, moment):
            column = policy.columns.get(field)
            of_column = f" (column {column!r})" if column else ""
            late.append(f"{field}{of_column} is known at: {known.value}")
    if late:
        raise InputError(
            f"The prediction moment is {moment.value!r}, but the data policy {policy.name!r} says "
            f"that {'; '.join(late)}. Leave it out of the features, or list it under "
            f"data.known.{'changing' if moment is Moment.open else moment.value} if it really is "
            "known by then."
        )


def _is_known(field: str, policy: DataPolicy, moment: Moment) -> bool:
    known = moment_known(field, policy)
    if moment is Moment.open:  # of a ticket that is open: it may have had no response
        return known is Moment.created or field in policy.known.changing
    return known is not Moment.never and _MOMENTS.index(known) <= _MOMENTS.index(moment)


def fold_status(status: str) -> str:
    """Write a status so that spellings in other letter cases are equal."""
    return status.strip().casefold()
