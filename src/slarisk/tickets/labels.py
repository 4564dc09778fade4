"""The canonical SLA engine: creation, resolution hours, target, breach and cost of each ticket."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from slarisk.config import CreationKind, DataPolicy, LabelKind, SlaPolicy, UnknownPriority
from slarisk.errors import InputError
from slarisk.tickets.contract import UNREADABLE, date_fields, get_dates, read_tickets
from slarisk.tickets.prices import look_up_priority, price_tickets, uses_default, validate_costs
from slarisk.tickets.read import locate_row, quote_value
from slarisk.tickets.rows import SOURCE_FILE, SOURCE_ROW

if TYPE_CHECKING:
    from slarisk.config import CostPolicy, Creation
    from slarisk.decisions.costs import CostMatrix

# Why a ticket has no label, in the order in which a reason is given.
NO_ID = "no_ticket_id"
UNREADABLE_DATE = "unreadable_date"
UNKNOWN_PRIORITY = "unknown_priority"
OPEN = "open"
NO_TIMES = "no_times"
BEFORE_CREATED = "resolved_before_created"
NO_LABEL = "no_label"
REASONS = (NO_ID, UNREADABLE_DATE, UNKNOWN_PRIORITY, OPEN, NO_TIMES, BEFORE_CREATED, NO_LABEL)


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
        The fields of the tickets without a label.
    costs : CostMatrix
        What the four outcomes of each ticket in ``frame`` cost, row for row: a part of the tickets
        is priced by ``costs.take(rows)``.
    observed : Timestamp
        When the export was taken; NaT if it has no times.
    assumed : tuple of int
        Positions of tickets in ``frame`` that count as breached because they were open for so long,
        whatever became of them later.
    """

    frame: pd.DataFrame
    rows_in: int
    dropped: dict[str, int]
    fingerprint: str
    unlabelled: pd.DataFrame
    costs: CostMatrix
    observed: pd.Timestamp
    assumed: tuple[int, ...] = ()


def prepare_tickets(data: DataPolicy, sla: SlaPolicy, cost: CostPolicy) -> LabelledTickets:
    """Read an export, label its tickets and price them.

    Raises
    ------
    InputError
        The export or a policy is wrong, a ticket id repeats, or no ticket can be labelled.
    """
    refuse_mismatched_tables(sla)
    tickets = read_tickets(data)
    validate_unique_ids(tickets, data)
    validate_priorities(tickets, data, sla)
    tickets["created_at"] = impute_creation(tickets, data.creation)
    observed = observed_at(tickets, data)
    labelled = label_tickets(tickets, data, sla, observed)
    reasons = labelled.pop("reason")
    costs = price_tickets(tickets, data, sla, cost)
    validate_costs(costs, labelled["breach"], tickets, data)
    labelled["breach_cost"], labelled["escalation_cost"] = costs.fn, costs.fp
    kept = (reasons == "").to_numpy()
    frame = labelled[kept].reset_index(drop=True)
    dropped = {reason: int((reasons == reason).sum()) for reason in REASONS}
    dropped = {reason: count for reason, count in dropped.items() if count}
    if frame.empty:
        no_target = data.label.kind is LabelKind.target and "priority" not in data.columns
        raise InputError(
            f"{data.path}: none of its {len(labelled):,} tickets can be labelled "
            f"({_describe(dropped, labelled)}). Check data.columns and data.date_formats"
            + (", and set sla.default_target." if no_target else ".")
        )
    if frame["breach_cost"].isna().any():
        raise InputError(
            f"data policy {data.name}: its tickets have no breach cost. Map a priority that "
            f"sla={sla.name} prices, name a cost column (data.costs.breach), or set "
            "sla.default_cost."
        )
    frame["breach"] = frame["breach"].astype(bool)
    return LabelledTickets(
        frame=frame,
        rows_in=len(labelled),
        dropped=dropped,
        fingerprint=fingerprint_tickets(frame, data),
        unlabelled=labelled[~kept].reset_index(drop=True),
        costs=costs.take(kept),
        observed=observed,
    )


def _describe(dropped: dict[str, int], tickets: pd.DataFrame) -> str:
    text = ", ".join(f"{reason}: {count:,}" for reason, count in dropped.items())
    unreadable = tickets[UNREADABLE] != ""
    if unreadable.any():
        row = tickets[unreadable].iloc[0]
        text += f"; first unreadable date: column {row[UNREADABLE]!r}, {locate_row(row)}"
    return text


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
    observed: pd.Timestamp | None = None,
) -> pd.DataFrame:
    """Add target, breach and the moment the label was known.

    Parameters
    ----------
    tickets : DataFrame
        As :func:`~slarisk.tickets.contract.read_tickets` gives them, with ``created_at``.
    data, sla : policies
        Where the label comes from.
    observed : Timestamp, optional
        When the export was taken; by default as configured, or the latest time in it.

    Returns
    -------
    DataFrame
        The tickets with ``resolution_hours``, ``sla_target_hours``, ``target_passes_at`` (missing
        where a column says who breached and there is no due date), ``breach`` (nullable),
        ``label_known_at`` and ``reason`` (why there is no label; empty where there is one).
    """
    labelled = tickets.copy(deep=False)
    created, resolved = get_dates(labelled, "created_at"), get_dates(labelled, "resolved_at")
    labelled["resolution_hours"] = (resolved - created).dt.total_seconds() / 3600
    labelled["sla_target_hours"] = _target_hours(labelled, data, sla)
    if observed is None:
        observed = observed_at(labelled, data)
    if data.label.kind is LabelKind.column:
        labelled["target_passes_at"] = get_dates(labelled, "due_at")
        labels = _label_by_column(labelled, data, resolved, observed)
    else:
        targets = pd.to_timedelta(labelled["sla_target_hours"], unit="h")
        labelled["target_passes_at"] = created + targets
        labels = _label_by_time(labelled, created, resolved, observed)
    labelled[["breach", "label_known_at", "reason"]] = labels
    if data.label.known_at is not None:
        labelled["label_known_at"] = get_dates(labelled, data.label.known_at)
    late_reason = labelled["reason"]
    labelled["reason"] = np.select(
        [
            labelled["ticket_id"].isna(),
            labelled[UNREADABLE] != "",
            unknown_priorities(labelled, data, sla) & (_on_unknown(sla) != "default"),
        ],
        [NO_ID, UNREADABLE_DATE, UNKNOWN_PRIORITY],
        default=late_reason,
    )
    return labelled


def _on_unknown(sla: SlaPolicy) -> str:
    return sla.unknown_priority.value


def _label_by_time(
    tickets: pd.DataFrame, created: pd.Series, resolved: pd.Series, observed: pd.Timestamp
) -> pd.DataFrame:
    """Label by resolution time; an open ticket past its target is a breach, in time it is open."""
    overdue_at = tickets["target_passes_at"]
    still_open = resolved.isna()
    late = (tickets["resolution_hours"] > tickets["sla_target_hours"]) | (
        still_open & (overdue_at < observed)
    )
    # a breach is known the moment the target passes, whenever the ticket is resolved
    known = overdue_at.where(late, resolved)
    reason = np.select(
        [
            still_open & ~late,
            created.isna(),
            ~still_open & ~(tickets["resolution_hours"] > 0),
            tickets["sla_target_hours"].isna(),
        ],
        [OPEN, NO_TIMES, BEFORE_CREATED, NO_LABEL],
        default="",
    )
    breach = late.astype("boolean").mask(pd.Series(reason != "", tickets.index))
    return pd.DataFrame({"breach": breach, "label_known_at": known, "reason": reason})


def _label_by_column(
    tickets: pd.DataFrame, data: DataPolicy, resolved: pd.Series, observed: pd.Timestamp
) -> pd.DataFrame:
    """Label by a column; an open ticket that it says nothing of is a breach past its deadline."""
    text = tickets[data.label.column].str.lower()
    overdue_at = tickets["target_passes_at"]
    if data.label.late_if_open_after is not None:
        age = pd.Timedelta(hours=data.label.late_if_open_after)
        overdue_at = overdue_at.fillna(get_dates(tickets, "created_at") + age)
    overdue = text.isna() & resolved.isna() & (overdue_at < observed)
    breach = (text == data.label.breach_value.lower()).astype("boolean").mask(text.isna()) | overdue
    reason = np.where(breach.isna(), NO_LABEL, "")
    # a breach is known the moment its due date passes, or with the resolution if that is first
    due = overdue_at.where(overdue, tickets["target_passes_at"])
    known = resolved.where(~breach.fillna(False) | due.isna() | (resolved < due), due)
    return pd.DataFrame({"breach": breach, "label_known_at": known, "reason": reason})


def observed_at(tickets: pd.DataFrame, data: DataPolicy) -> pd.Timestamp:
    """Return the moment the export was taken: as configured, or the latest time in the data."""
    if data.label.observed_at is not None:
        return read_moment(data.label.observed_at)
    past = [name for name in date_fields(data) if name != "due_at"]  # a due date may lie ahead
    latest: pd.Timestamp = pd.to_datetime(tickets[past].max().max())  # NaT if there are none
    return latest


def read_moment(text: str) -> pd.Timestamp:
    """Read a moment written in a config."""
    moment = pd.Timestamp(text)
    # like the dates of tickets: in UTC, without saying so
    return moment if moment.tz is None else moment.tz_convert(None)


def _target_hours(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> pd.Series:
    if data.label.kind is LabelKind.due_date:
        return (tickets["due_at"] - tickets["created_at"]).dt.total_seconds() / 3600
    default = sla.default_target if uses_default(data, sla) else None
    return look_up_priority(tickets, sla, sla.targets, default)


def unknown_priorities(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> pd.Series:
    """Mask of tickets that need an SLA target or cost by priority, and whose priority has none."""
    priced = data.costs.breach is not None and data.label.kind is not LabelKind.target
    if "priority" not in tickets or priced:
        return pd.Series(False, index=tickets.index)
    return ~tickets["priority"].replace(sla.aliases).isin(sla.targets)


def validate_priorities(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> None:
    """Raise if a priority has no SLA target and the policy is ``unknown_priority: error``."""
    if sla.unknown_priority is not UnknownPriority.error:
        return
    unknown = unknown_priorities(tickets, data, sla) & _present(tickets, "priority")
    if unknown.any():
        rows = tickets[unknown]
        names = ", ".join(quote_value(name) for name in rows["priority"].unique()[:5])
        raise InputError(
            f"{locate_row(rows.iloc[0])}: the SLA policy {sla.name!r} has no target for priority "
            f"{names} ({len(rows):,} tickets). Name it in sla.aliases or sla.targets, or set "
            "sla.unknown_priority=drop."
        )


def _present(tickets: pd.DataFrame, name: str) -> pd.Series:
    return tickets[name].notna() if name in tickets else pd.Series(False, index=tickets.index)


def validate_unique_ids(tickets: pd.DataFrame, data: DataPolicy) -> None:
    """Raise if a ticket id repeats."""
    ids = tickets["ticket_id"]
    repeated = ids.notna() & ids.duplicated(keep=False)
    if repeated.any():
        rows = tickets[repeated & (ids == ids[repeated].iloc[0])]
        first, second = rows.iloc[0], rows.iloc[1]
        elsewhere = f" of {second[SOURCE_FILE]}" * (second[SOURCE_FILE] != first[SOURCE_FILE])
        raise InputError(
            f"{first[SOURCE_FILE]}: {data.columns['ticket_id']} "
            f"{quote_value(first['ticket_id'])} occurs in rows {first[SOURCE_ROW]} and "
            f"{second[SOURCE_ROW]}{elsewhere}; "
            f"{int(ids[repeated].nunique()):,} ids repeat. If the export is an event log, "
            "say so: data.events.order=<field>."
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


def fingerprint_tickets(frame: pd.DataFrame, data: DataPolicy) -> str:
    """Fingerprint the labelled tickets: their content, not the place or order of the file."""
    content = frame[sorted({*data.columns, "created_at"} & set(frame))]
    rows = pd.util.hash_pandas_object(content, index=False).to_numpy()
    return hashlib.sha256(np.sort(rows).tobytes()).hexdigest()[:16]


def fingerprint_policy(sla: SlaPolicy, cost: CostPolicy) -> str:
    """Fingerprint what a ticket's label and costs rest on: SLA and cost policy."""
    from slarisk.config import CostPolicy as Cost

    text = TypeAdapter(SlaPolicy).dump_json(sla) + TypeAdapter(Cost).dump_json(cost)
    return hashlib.sha256(text).hexdigest()[:16]
