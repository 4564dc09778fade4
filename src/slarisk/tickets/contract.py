"""Typed tickets by the data policy: one row each, and when each field becomes known."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.config import CreationKind, LabelKind, Moment
from slarisk.decisions.facts import TicketFacts
from slarisk.errors import InputError
from slarisk.tickets.read import locate_row, quote_value, read_fields
from slarisk.tickets.rows import SOURCE_FILE, SOURCE_ROW

if TYPE_CHECKING:
    from slarisk.config import DataPolicy

DATE_FIELDS = ("created_at", "first_response_at", "resolved_at", "due_at")
UNREADABLE = "unreadable_dates"  # the date fields of a ticket that could not be read
ISO_8601 = "ISO8601"
# what labelling adds to the fields of a policy
ADDED = (
    "resolution_hours",
    "sla_target_hours",
    "breach",
    "breach_cost",
    "escalation_cost",
    "target_passes_at",
    "label_known_at",
    "reason",
)
_MOMENTS = list(Moment)
_LIKE_ISO = (ISO_8601, "%Y-%m-%d %H:%M:%S")
_DAY = r"\d{4}(?:\d{4}|\D\d{1,2}\D\d)"  # how ISO 8601 begins, if it says the day


def read_tickets(
    policy: DataPolicy, required: Iterable[str] | None = None, path: str | None = None
) -> pd.DataFrame:
    """Read an export into one typed row per ticket, in the order of the file.

    Parameters
    ----------
    policy : DataPolicy
        What the columns of the export mean.
    required : iterable of str, optional
        Fields that must be in the file; by default all that the policy names.
    path : str, optional
        A file or glob to read instead of the policy's own.

    Returns
    -------
    DataFrame
        The fields of the policy (dates as datetimes without zone, everything else as text),
        ``source_file``, ``source_row`` and ``unreadable_dates``. Tickets of an event log carry the
        first event's values in the fields known at creation and the last event's in the others.
    """
    validate_policy(policy)
    needed = [*policy.columns] if required is None else [*required]
    if policy.events is not None:
        needed += ["ticket_id", policy.events.order]
    fields = read_fields(policy, needed, path)
    if policy.events is not None:
        fields = collapse_events(fields, policy)
    return type_fields(fields, policy)


def type_fields(
    fields: pd.DataFrame, policy: DataPolicy, names: Iterable[str] | None = None
) -> pd.DataFrame:
    """Trim text, rename values and read dates; fields that are not there become NA.

    ``names`` are the fields of the policy that are needed, by default all.
    """
    needed = [*policy.columns] if names is None else [*names]
    # One frame is made in the end, and nothing is done where there is nothing to do: a served
    # ticket comes alone, and each step on a column costs it a tenth of a millisecond.
    typed: dict[str, pd.Series] = {str(name): fields[name] for name in fields}
    for name in needed:
        text = get_text(fields, name)
        if name in fields:
            text = _trim(text, policy)
            text = text.replace(policy.values[name]) if name in policy.values else text
        typed[name] = text
    unreadable = pd.Series("", index=fields.index, dtype="str")
    for name in date_fields(policy):
        if name not in needed:
            continue
        if name not in fields:
            typed[name] = get_dates(fields, name)
            continue
        # typed dates (Parquet) come as ISO 8601, whatever the text of this system looks like
        parsed = read_dates(typed[name], [*policy.date_formats, ISO_8601])
        lost = parsed.isna() & typed[name].notna()
        if lost.any():
            unreadable[lost] += f", {policy.columns[name]}"
        typed[name] = parsed
    typed[UNREADABLE] = unreadable.str.removeprefix(", ")
    return pd.DataFrame(typed, index=fields.index)


def _trim(text: pd.Series, policy: DataPolicy) -> pd.Series:
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


def take_facts(tickets: pd.DataFrame) -> TicketFacts:
    """Return the facts that a decision policy may use."""
    return TicketFacts(
        created_at=get_dates(tickets, "created_at").to_numpy(dtype="datetime64[us]"),
        ticket_id=get_text(tickets, "ticket_id").fillna("").to_numpy(dtype=object),
    )


def date_fields(policy: DataPolicy) -> list[str]:
    """The fields of a policy that hold dates."""
    return [name for name in (*DATE_FIELDS, *policy.dates) if name in policy.columns]


def read_dates(text: pd.Series, formats: Iterable[str]) -> pd.Series:
    """Read dates written in any of several formats; the first that fits a value wins.

    Parameters
    ----------
    text : Series of str
        Missing values stay missing.
    formats : iterable of str
        ``strptime`` formats (numbers need no padding) or ``ISO8601``, where a year or a month
        alone is no date.

    Returns
    -------
    Series of datetime64
        Without time zone; a date with an offset is turned to UTC. NaT where no format fits.

    Examples
    --------
    >>> read_dates(pd.Series(["29/2/2016 01:16", "soon"], dtype="str"), ["%d/%m/%Y %H:%M"]).tolist()
    [Timestamp('2016-02-29 01:16:00'), NaT]
    """
    formats = list(formats)
    if formats[0] in _LIKE_ISO and (quick := _read_whole(text)) is not None:
        return quick
    parsed = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    left = text.notna()
    for date_format in formats:
        if not left.any():
            break
        values = text[left]
        if date_format == ISO_8601:
            values = values[values.str.match(_DAY)]
        times = pd.to_datetime(values, format=date_format, errors="coerce", utc=True)
        parsed = parsed.fillna(times.dt.tz_localize(None).astype("datetime64[us]"))
        left &= parsed.isna()
    return parsed


def _read_whole(text: pd.Series) -> pd.Series | None:
    """Read dates that are all written to the second, as ISO 8601 has them; None if one is not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    written = pa.array(text.astype("str"))
    whole = pc.match_substring_regex(written, r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}$")
    if not pc.all(whole, min_count=0).as_py():
        return None
    try:
        times = written.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # a 30th of February
        return None
    return pd.Series(times.to_pandas().array, index=text.index)


def collapse_events(events: pd.DataFrame, policy: DataPolicy) -> pd.DataFrame:
    """Turn an event log into one row per ticket, in order of first appearance.

    Events are put in order by the policy's ``order`` field, a number or one of its dates; equal
    ones keep the order of the file. Events without a ticket id stay as rows of their own, to be
    counted as such.

    Raises
    ------
    InputError
        An event has no place in the order.
    """
    assert policy.events is not None
    by = policy.events.order
    order = read_order(events, policy)
    if order.isna().any():
        row = events[order.isna()].iloc[0]
        kind = "date" if by in date_fields(policy) else "number"
        raise InputError(
            f"{locate_row(row)}: column {policy.columns[by]!r} orders the events "
            f"and must be a {kind}, not {quote_value(row[by])}."
        )
    ticket = ticket_keys(events, policy)
    ordered = events.assign(_order=order, _ticket=ticket).sort_values("_order", kind="stable")
    by_ticket = ordered.groupby("_ticket", sort=False)
    # head and tail rather than first and last: those would skip missing values
    first = by_ticket.head(1).set_index("_ticket")
    last = by_ticket.tail(1).set_index("_ticket").loc[first.index]
    late = [name for name in policy.columns if name in last and name not in policy.known.created]
    first[late] = last[late]
    in_file_order = ticket.drop_duplicates()
    return first.loc[in_file_order].drop(columns="_order").reset_index(drop=True)


def read_order(events: pd.DataFrame, policy: DataPolicy) -> pd.Series:
    """Read the order of events as numbers or dates; missing where it is neither."""
    assert policy.events is not None
    by = policy.events.order
    written = _trim(events[by], policy)
    if by in date_fields(policy):
        return read_dates(written, [*policy.date_formats, ISO_8601])
    return pd.to_numeric(written, errors="coerce")


def ticket_keys(events: pd.DataFrame, policy: DataPolicy) -> pd.Series:
    """Return the ticket key of each event; an event without an id gets a key of its own."""
    ticket = _trim(events["ticket_id"], policy)
    return ticket.fillna(pd.Series(events.index.astype(str), events.index) + "\0")


def validate_policy(policy: DataPolicy) -> None:
    """Raise if a data policy contradicts itself or names fields that it does not map."""
    _check_formats(policy)
    _check_imputation(policy)
    mentioned: dict[str, Iterable[str]] = {
        "dates": policy.dates,
        "values": policy.values,
        "known.created": policy.known.created,
        "known.first_response": policy.known.first_response,
        "known.resolved": policy.known.resolved,
        "label.column": [policy.label.column] if policy.label.column else [],
        "label.known_at": [policy.label.known_at] if policy.label.known_at else [],
        "costs": [name for name in (policy.costs.breach, policy.costs.escalation) if name],
        "events.order": [policy.events.order] if policy.events else [],
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
    columns = list(policy.columns.values())
    shared = sorted({column for column in columns if columns.count(column) > 1})
    if shared:
        raise InputError(
            f"data policy {policy.name}: two fields are mapped to the column {', '.join(shared)}."
        )


def _check_formats(policy: DataPolicy) -> None:
    """Raise if a date format can read no date."""
    for date_format in policy.date_formats:
        try:
            read_dates(pd.Series(["2000-01-01"], dtype="str"), [date_format])
        except (ValueError, re.error) as error:
            raise InputError(f"data.date_formats: {date_format!r}: {error}.") from error
        if "%" not in date_format and date_format != ISO_8601:
            raise InputError(
                f"data.date_formats: {date_format!r} reads no date. Write it as %d/%m/%Y %H:%M, "
                f"for example, or as {ISO_8601}."
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
    for name in {*ADDED, SOURCE_FILE, SOURCE_ROW, UNREADABLE} & {*policy.columns}:
        if (name, name) not in its_own:
            raise InputError(
                f"data policy {policy.name}: {name!r} is computed here and cannot be a field; "
                "name it otherwise in data.columns."
            )
    dates = date_fields(policy)
    for field in ("ticket_id", "priority", label.column, costs.breach, costs.escalation):
        if field in dates:
            raise InputError(f"data policy {policy.name}: the field {field} cannot be a date.")
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
    return ["created_at"] if policy.creation.kind is CreationKind.imputed else []


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
        if known is Moment.never or _MOMENTS.index(known) > _MOMENTS.index(moment):
            column = policy.columns.get(field)
            of_column = f" (column {column!r})" if column else ""
            late.append(f"{field}{of_column} is known at: {known.value}")
    if late:
        raise InputError(
            f"The prediction moment is {moment.value!r}, but the data policy {policy.name!r} says "
            f"that {'; '.join(late)}. Leave it out of the features, or list it under "
            f"data.known.{moment.value} if it really is known by then."
        )
