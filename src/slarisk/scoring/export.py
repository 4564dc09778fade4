"""The risk-score export: what dashboards read of each ticket, and why a row is not among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slarisk.model.bundle import BUCKETS, Bundle, Manifest, ScoredTickets, risk_buckets
from slarisk.model.seen_tickets import OUT_OF_FOLD
from slarisk.tickets.contract import UNREADABLE, get_text
from slarisk.tickets.labels import NO_ID, UNREADABLE_DATE, label_tickets
from slarisk.tickets.prices import is_valid_price, price_breaches, price_escalations
from slarisk.tickets.spreadsheets import neutralise_text

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats

# Dashboards read these names in this order.
TICKET_COLUMNS = {
    "Ticket Priority": "priority",
    "Ticket Channel": "channel",
    "Ticket Type": "ticket_type",
    "Product Purchased": "product",
}
_NAMES = pa.dictionary(pa.int32(), pa.large_string())
EXPORT_SCHEMA = pa.schema(
    [
        ("Ticket ID", pa.large_string()),
        ("Ticket_Date", pa.string()),
        *((name, _NAMES) for name in TICKET_COLUMNS),
        ("Resolution_Hours", pa.float64()),
        ("Is_SLA_Breach", pa.bool_()),
        ("Breach_Cost", pa.float64()),
        ("Pred_Breach_Prob", pa.float64()),
        ("Risk_Bucket", _NAMES),
        ("Escalate", pa.bool_()),
        ("Expected_Loss_If_Left", pa.float64()),
        ("Expected_Loss_If_Escalated", pa.float64()),
        ("Score_Origin", _NAMES),
        ("Model_Version", _NAMES),
        ("Scored_At", _NAMES),
    ]
)
EXPORT_COLUMNS = tuple(EXPORT_SCHEMA.names)
EXPORT_PLAIN = pa.schema(  # with names written out: readers differ in what they make of numbers
    [
        (each.name, pa.string() if pa.types.is_dictionary(each.type) else each.type)
        for each in EXPORT_SCHEMA
    ]
).set(0, pa.field("Ticket ID", pa.string()))
REJECTED_COLUMNS = ("file", "row", "line", "Ticket ID", "reason", "detail")
DUPLICATE, BAD_COST = "duplicate_ticket_id", "bad_cost"


def build_export_rows(
    manifest: Manifest,
    judged: ScoredTickets,
    escalate: Bools,
    losses: tuple[Floats, Floats],
    version: str,
    scored_at: str,
) -> pa.RecordBatch:
    """Lay out the export of some tickets, with nothing in it that a spreadsheet would run.

    Parameters
    ----------
    manifest : Manifest
        The policies.
    judged : ScoredTickets
        The n tickets with their probabilities.
    escalate : bool array of shape (n,)
        What is decided.
    losses : two arrays of shape (n,)
        The dollars each is expected to lose if left, and if escalated.
    version, scored_at : str
        Go into ``Model_Version`` and ``Scored_At``.

    Returns
    -------
    RecordBatch of n rows
        As :data:`EXPORT_SCHEMA`.
    """
    tickets = judged.tickets
    outcome = find_outcomes(manifest, tickets)
    buckets = risk_buckets(judged.probability)
    columns = [
        neutralise_text(get_text(tickets, "ticket_id")),
        pc.cast(pc.cast(as_array(tickets["created_at"]), pa.date32()), pa.string()),
        *(_name(get_text(tickets, field)) for field in TICKET_COLUMNS.values()),
        outcome["resolution_hours"],
        outcome["breach"],
        outcome["cost"],
        judged.probability,
        pa.DictionaryArray.from_arrays(buckets.astype(np.int32), list(BUCKETS)),
        escalate,
        *losses,
        _name(judged.origin),
        _repeat(version, len(tickets)),
        _repeat(scored_at, len(tickets)),
    ]
    arrays = [
        as_array(column).cast(field.type)
        for column, field in zip(columns, EXPORT_SCHEMA, strict=True)
    ]
    return pa.record_batch(arrays, schema=EXPORT_SCHEMA)


def as_array(values: object) -> pa.Array:
    """Make one Arrow array of what pandas or NumPy hold."""
    array = pa.array(values, from_pandas=True)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _name(text: pd.Series) -> pa.DictionaryArray:
    """Tell names apart by number; what there is to neutralise, there is once for each."""
    codes, names = pd.factorize(text)
    safe = as_array(neutralise_text(pd.Series(names, dtype="str")))
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), safe.cast(pa.large_string())
    )


def _repeat(text: str, times: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(np.zeros(times, np.int32), [text])


def find_rejections(manifest: Manifest, tickets: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Say which tickets cannot be scored: a reason for each, empty where there is none; details."""
    data = manifest.data
    details = pd.Series("", index=tickets.index, dtype="str")
    unreadable = (tickets[UNREADABLE] != "").to_numpy()
    if unreadable.any():
        details = details.mask(unreadable, "column " + tickets[UNREADABLE])
    bad_cost = np.zeros(len(tickets), dtype=np.bool_)
    prices: dict[str, pd.Series] = {}
    if data.costs.breach is not None:
        prices[data.costs.breach] = price_breaches(tickets, data, manifest.sla)
    if data.costs.escalation is not None:
        prices[data.costs.escalation] = price_escalations(tickets, data, manifest.cost)
    for field, amounts in prices.items():
        # an empty cost is unknown, and priced as such; a wrong one is a mistake to be told
        wrong = (tickets[field].notna() & ~is_valid_price(amounts)).to_numpy()
        bad_cost |= wrong
        details = details.mask(wrong, f"column {data.columns[field]}")
    names = np.array(["", NO_ID, UNREADABLE_DATE, BAD_COST], dtype=object)
    nameless = tickets["ticket_id"].isna().to_numpy()
    found = np.select([nameless, unreadable, bad_cost], [1, 2, 3], default=0)
    return pd.Series(names[found], index=tickets.index, dtype="str"), details


def find_outcomes(manifest: Manifest, tickets: pd.DataFrame) -> pd.DataFrame:
    """Say how each resolved ticket turned out; an open one has no outcome yet.

    Returns
    -------
    DataFrame
        ``created_at``, ``resolution_hours``, ``breach`` (nullable) and ``cost`` (dollars lost).
    """
    # when the export was taken plays no part: an open ticket has no outcome here
    taken = pd.Timestamp.min
    labelled = label_tickets(tickets, manifest.data, manifest.sla, taken)
    known = (labelled["reason"] == "") & _is_resolved(labelled)
    breach = labelled["breach"].where(known)
    price = price_breaches(tickets, manifest.data, manifest.sla)
    lost = price.where(breach.fillna(False), 0.0)  # a met target costs nothing
    return pd.DataFrame(
        {
            "created_at": labelled["created_at"],
            "resolution_hours": labelled["resolution_hours"].where(known),
            "breach": breach,
            "cost": lost.where(breach.notna()),
        }
    )


def _is_resolved(tickets: pd.DataFrame) -> pd.Series:
    if "resolved_at" in tickets:
        return tickets["resolved_at"].notna()
    return pd.Series(True, index=tickets.index)


def notebook_export(bundle: Bundle, tickets: pd.DataFrame) -> pd.DataFrame:
    """Write the notebook's dashboard file as it was, for parity.

    Its scores of training tickets are in-sample, its dates are drawn at random from January to
    March 2023, and it writes ``Breach_Cost`` twice. Only ``Score_Origin`` is added, which says so.

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
    origin = bundle.memory.match(tickets)["origin"].replace({OUT_OF_FOLD: "in_sample"})
    columns = [
        ("Ticket ID", tickets["ticket_id"]),
        ("Ticket_Date", (first + pd.to_timedelta(draws, unit="D")).strftime("%Y-%m-%d")),
        *((name, get_text(tickets, field)) for name, field in TICKET_COLUMNS.items()),
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
