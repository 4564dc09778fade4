"""The columns of the risk-score export. To add one, add an entry at the end of EXPORT_TABLE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slarisk.exports.spreadsheets import neutralise_text
from slarisk.model.bundle import BUCKETS, TIME_FORMAT, Bundle, risk_buckets
from slarisk.model.seen_tickets import OUT_OF_FOLD
from slarisk.scoring.states import STATES
from slarisk.tickets.contract import get_text
from slarisk.tickets.labels import tells_ends
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    from slarisk.scoring.decided import DecidedTickets

_TEXT, _NUMBER, _FLAG = pa.large_string(), pa.float64(), pa.bool_()
_LABEL = pa.dictionary(pa.int32(), _TEXT)  # text of few distinct values


@dataclass(frozen=True)
class Column:
    """One column of the export.

    Parameters
    ----------
    name : str
        As dashboards read it.
    type : pyarrow type
        In memory; files have all text as plain strings.
    compute : callable
        From the decided tickets to an array or Series with a value for each.
    fields : tuple of str
        The ticket fields it reads, beyond those that the model and the costs need.
    """

    name: str
    type: pa.DataType
    compute: Callable[[DecidedTickets], Any]
    fields: tuple[str, ...] = ()


def _make_field_column(name: str, field: str) -> Column:
    return Column(name, _LABEL, lambda decided: _encode(get_text(decided.tickets, field)), (field,))


def _encode(text: pd.Series) -> pa.DictionaryArray:
    """Dictionary-encode text and neutralise each distinct value once."""
    codes, values = pd.factorize(text)
    safe = as_array(neutralise_text(pd.Series(values, dtype="str"))).cast(_TEXT)
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, safe)


def _format_date(decided: DecidedTickets) -> pa.Array:
    zone = decided.task.bundle.manifest.data.timezone
    created = show_local(decided.tickets["created_at"], zone)
    return pc.cast(pc.cast(as_array(created), pa.date32()), pa.string())


def _label_bucket(decided: DecidedTickets) -> pa.DictionaryArray:
    buckets = risk_buckets(decided.scored.probability).astype(np.int32)
    return pa.DictionaryArray.from_arrays(buckets, list(BUCKETS))


def _label_state(decided: DecidedTickets) -> pa.DictionaryArray:
    if decided.task.at is None or not tells_ends(decided.task.bundle.manifest.data):
        return pa.array([None] * len(decided.tickets), _LABEL)
    return pa.DictionaryArray.from_arrays(decided.states, list(STATES))


def _format_escalation_times(decided: DecidedTickets) -> pa.Array:
    times = show_local(decided.escalation_times, decided.task.bundle.manifest.data.timezone)
    return as_array(times.dt.strftime(TIME_FORMAT).astype("str"))


def _repeat(decided: DecidedTickets, text: str) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(len(decided.tickets), np.int32), [text])


TICKET_COLUMNS = (
    _make_field_column("Ticket Priority", "priority"),
    _make_field_column("Ticket Channel", "channel"),
    _make_field_column("Ticket Type", "ticket_type"),
    _make_field_column("Product Purchased", "product"),
)
_OUTCOME_FIELDS = ("created_at", "resolved_at", "due_at")
_STATE_FIELDS = (*_OUTCOME_FIELDS, "status", "priority")
# Dashboards read these names in this order.
EXPORT_TABLE = (
    Column("Ticket ID", _TEXT, lambda d: neutralise_text(get_text(d.tickets, "ticket_id"))),
    Column("Ticket_Date", pa.string(), _format_date),
    *TICKET_COLUMNS,
    Column("Resolution_Hours", _NUMBER, lambda d: d.outcomes["resolution_hours"], _OUTCOME_FIELDS),
    Column("Is_SLA_Breach", _FLAG, lambda d: d.outcomes["breach"], _OUTCOME_FIELDS),
    Column("Breach_Cost", _NUMBER, lambda d: d.outcomes["cost"], _OUTCOME_FIELDS),
    Column("Pred_Breach_Prob", _NUMBER, lambda d: d.scored.probability),
    Column("Risk_Bucket", _LABEL, _label_bucket),
    Column("Escalate", _FLAG, lambda d: d.escalate),
    Column("Expected_Loss_If_Left", _NUMBER, lambda d: d.expected_losses[0]),
    Column("Expected_Loss_If_Escalated", _NUMBER, lambda d: d.expected_losses[1]),
    Column("Score_Origin", _LABEL, lambda d: _encode(d.scored.origin)),
    Column("Model_Version", _LABEL, lambda d: _repeat(d, d.task.version)),
    Column("Scored_At", _LABEL, lambda d: _repeat(d, d.task.scored_at)),
    Column("State", _LABEL, _label_state, _STATE_FIELDS),
    Column("Age_Hours", _NUMBER, lambda d: d.standing.age, _STATE_FIELDS),
    Column("Hours_Left", _NUMBER, lambda d: d.standing.target - d.standing.age, _STATE_FIELDS),
    Column("Escalate_At", pa.string(), _format_escalation_times, _STATE_FIELDS),
)
EXPORT_SCHEMA = pa.schema([(column.name, column.type) for column in EXPORT_TABLE])
EXPORT_COLUMNS = tuple(EXPORT_SCHEMA.names)
EXPORT_FIELDS = tuple(dict.fromkeys(field for column in EXPORT_TABLE for field in column.fields))
EXPORT_PLAIN = pa.schema(  # text as plain strings: readers differ in what they make of dictionaries
    [
        (each.name, pa.string() if each.type in (_LABEL, _TEXT) else each.type)
        for each in EXPORT_SCHEMA
    ]
)


def build_export_rows(decided: DecidedTickets) -> pa.RecordBatch:
    """Compute the export of some tickets, as :data:`EXPORT_SCHEMA`; no text is a formula."""
    arrays = [as_array(column.compute(decided)).cast(column.type) for column in EXPORT_TABLE]
    return pa.record_batch(arrays, schema=EXPORT_SCHEMA)


def as_array(values: object) -> pa.Array:
    """Make one Arrow array of a Series, a NumPy array or an Arrow array."""
    array = pa.array(values, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def notebook_export(bundle: Bundle, tickets: pd.DataFrame) -> pd.DataFrame:
    """Build the notebook's dashboard file as it was, for parity.

    Its scores of training tickets are in-sample, its dates are drawn at random from January to
    March 2023, and it has ``Breach_Cost`` twice. Only ``Score_Origin``, which says so, is new.

    Parameters
    ----------
    bundle : Bundle
        The model of ``experiment=notebook``.
    tickets : DataFrame
        The labelled tickets, in the order of the export.
    """
    probability = bundle.model.probability(tickets)
    first, last = pd.Timestamp("2023-01-01"), pd.Timestamp("2023-03-31")
    draws = np.random.RandomState(42).randint(0, (last - first).days, size=len(tickets))
    cost = tickets["breach_cost"] * tickets["breach"]
    origin = bundle.seen_tickets.match(tickets)["origin"].replace({OUT_OF_FOLD: "in_sample"})
    columns = [
        ("Ticket ID", tickets["ticket_id"]),
        ("Ticket_Date", (first + pd.to_timedelta(draws, unit="D")).strftime("%Y-%m-%d")),
        *((column.name, get_text(tickets, column.fields[0])) for column in TICKET_COLUMNS),
        ("Resolution_Hours", tickets["resolution_hours"]),
        ("Is_SLA_Breach", tickets["breach"]),
        ("Breach_Cost", cost),
        ("Breach_Cost", cost),
        ("Pred_Breach_Prob", probability),
        ("Risk_Bucket", np.array(list(BUCKETS))[risk_buckets(probability)]),
        ("Score_Origin", origin),
    ]
    frame = pd.DataFrame(dict(enumerate(values for _, values in columns)), index=tickets.index)
    return frame.set_axis([name for name, _ in columns], axis="columns")
