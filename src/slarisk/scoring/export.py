"""The risk-score export: what dashboards read, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.errors import InputError
from slarisk.scoring.bundle import (
    BUCKET,
    ESCALATE,
    ESCALATED,
    LEFT,
    ORIGIN,
    OUT_OF_FOLD,
    PROBABILITY,
    Bundle,
    is_price,
    risk_buckets,
)
from slarisk.tickets.contract import UNREADABLE, take_text
from slarisk.tickets.labels import (
    NO_ID,
    UNREADABLE_DATE,
    label_tickets,
    price_breaches,
    price_escalations,
)
from slarisk.tickets.rows import SOURCE_FILE, SOURCE_ROW
from slarisk.tickets.write import neutralise

if TYPE_CHECKING:
    from collections.abc import Mapping

# Dashboards read these names in this order.
TICKET_COLUMNS = {
    "Ticket Priority": "priority",
    "Ticket Channel": "channel",
    "Ticket Type": "ticket_type",
    "Product Purchased": "product",
}
EXPORT_COLUMNS = (
    "Ticket ID",
    "Ticket_Date",
    *TICKET_COLUMNS,
    "Resolution_Hours",
    "Is_SLA_Breach",
    "Breach_Cost",
    "Pred_Breach_Prob",
    "Risk_Bucket",
    "Escalate",
    "Expected_Loss_If_Left",
    "Expected_Loss_If_Escalated",
    "Score_Origin",
    "Model_Version",
    "Scored_At",
)
REJECTED_COLUMNS = ("file", "row", "Ticket ID", "reason", "detail")
DUPLICATE, BAD_COST = "duplicate_ticket_id", "bad_cost"


@dataclass(frozen=True, eq=False)
class Scored:
    """An export, the rows rejected from it, and the tickets behind it.

    ``rows_in == len(export) + len(rejected)``, always.
    """

    export: pd.DataFrame
    rejected: pd.DataFrame
    decided: pd.DataFrame
    tickets: pd.DataFrame
    rows_in: int


def score_tickets(bundle: Bundle, tickets: pd.DataFrame, version: str, scored_at: str) -> Scored:
    """Decide about every ticket that can be scored, and say why the others cannot.

    Parameters
    ----------
    bundle : Bundle
        The model.
    tickets : DataFrame
        Typed tickets, open ones too.
    version : str
        Goes into ``Model_Version``.
    scored_at : str
        Goes into ``Scored_At``.
    """
    reasons, details = find_rejections(bundle, tickets)
    good = reasons == ""
    scored = tickets[good].reset_index(drop=True)
    decided = bundle.decide(scored)
    outcome = find_outcomes(bundle, scored)
    columns: dict[str, object] = {
        "Ticket ID": scored["ticket_id"],
        "Ticket_Date": outcome["created_at"].dt.strftime("%Y-%m-%d"),
        **{name: take_text(scored, field) for name, field in TICKET_COLUMNS.items()},
        "Resolution_Hours": outcome["resolution_hours"],
        "Is_SLA_Breach": outcome["breach"],
        "Breach_Cost": outcome["cost"],
        "Pred_Breach_Prob": decided[PROBABILITY],
        "Risk_Bucket": decided[BUCKET],
        "Escalate": decided[ESCALATE],
        "Expected_Loss_If_Left": decided[LEFT],
        "Expected_Loss_If_Escalated": decided[ESCALATED],
        "Score_Origin": decided[ORIGIN],
        "Model_Version": version,
        "Scored_At": scored_at,
    }
    export = pd.DataFrame(columns, index=scored.index)[list(EXPORT_COLUMNS)]
    rejected = pd.DataFrame(
        {
            "file": tickets.loc[~good, SOURCE_FILE],
            "row": tickets.loc[~good, SOURCE_ROW],
            "Ticket ID": tickets.loc[~good, "ticket_id"],
            "reason": reasons[~good],
            "detail": details[~good],
        }
    )
    return Scored(export, rejected.reset_index(drop=True), decided, scored, len(tickets))


def find_rejections(bundle: Bundle, tickets: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Say which tickets cannot be scored: a reason for each, empty where there is none.

    Of several good rows with one ticket id, the first is scored.
    """
    data, sla, cost = bundle.manifest.data, bundle.manifest.sla, bundle.manifest.cost
    ids = tickets["ticket_id"]
    detail = pd.Series("", index=tickets.index, dtype="str")
    detail = detail.mask(tickets[UNREADABLE] != "", "column " + tickets[UNREADABLE])
    bad_cost = pd.Series(False, index=tickets.index)
    prices = (
        (data.costs.breach, price_breaches(tickets, data, sla)),
        (data.costs.escalation, price_escalations(tickets, data, cost)),
    )
    for field, amounts in prices:
        if field is None:
            continue
        # an empty cost is unknown, and priced as such; a wrong one is a mistake to be told
        wrong = tickets[field].notna() & ~is_price(amounts)
        bad_cost |= wrong
        detail = detail.mask(wrong, f"column {data.columns[field]}")
    found = np.select(
        [ids.isna(), tickets[UNREADABLE] != "", bad_cost],
        [NO_ID, UNREADABLE_DATE, BAD_COST],
        default="",
    )
    reasons = pd.Series(found, index=tickets.index, dtype="str")
    repeated = ids[reasons == ""].duplicated().reindex(tickets.index, fill_value=False)
    return reasons.mask(repeated, DUPLICATE), detail


def find_outcomes(bundle: Bundle, tickets: pd.DataFrame) -> pd.DataFrame:
    """Say how each resolved ticket turned out; an open one has no outcome yet.

    Returns
    -------
    DataFrame
        ``created_at``, ``resolution_hours``, ``breach`` (nullable) and ``cost`` (dollars lost).
    """
    manifest = bundle.manifest
    met = bundle.recognise(tickets)
    dated = tickets.assign(created_at=bundle.creation_times(tickets, met))
    labelled = label_tickets(dated, manifest.data, manifest.sla, manifest.cost)
    known = (labelled["reason"] == "") & _is_resolved(labelled)
    breach = labelled["breach"].where(known)
    lost = labelled["breach_cost"].where(breach.fillna(False), 0.0)  # a met target costs nothing
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
    origin = bundle.recognise(tickets)["origin"].replace({OUT_OF_FOLD: "in_sample"})
    columns = [
        ("Ticket ID", tickets["ticket_id"]),
        ("Ticket_Date", (first + pd.to_timedelta(draws, unit="D")).strftime("%Y-%m-%d")),
        *((name, take_text(tickets, field)) for name, field in TICKET_COLUMNS.items()),
        ("Resolution_Hours", tickets["resolution_hours"]),
        ("Is_SLA_Breach", tickets["breach"]),
        ("Breach_Cost", cost),
        ("Breach_Cost", cost),
        ("Pred_Breach_Prob", probability),
        ("Risk_Bucket", risk_buckets(probability)),
        ("Score_Origin", origin),
    ]
    frame = pd.DataFrame(dict(enumerate(values for _, values in columns)), index=tickets.index)
    return frame.set_axis([name for name, _ in columns], axis="columns")


def write_all(files: Mapping[Path, pd.DataFrame | str]) -> None:
    """Write files under their names once all of them are complete, or none at all.

    Parameters
    ----------
    files : mapping of Path to DataFrame or str
        Text as it is; tables as Parquet by file ending, as CSV otherwise. Replaced in this order.

    Raises
    ------
    InputError
        A folder cannot be written.
    """
    finished: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, content in files.items():
            if path.is_dir():
                raise InputError(f"{path}: is a folder; name a file in it.")
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=path.parent, prefix=f".{path.name}.", suffix=".part"
            )
            os.close(handle)
            finished.append((Path(name), path))
            _write(content, Path(name), path.suffix.lower())
            _make_readable(Path(name))
        _put_in_place(finished)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error
    finally:
        for part, _ in finished:
            with suppress(FileNotFoundError):
                part.unlink()


def _put_in_place(finished: list[tuple[Path, Path]]) -> None:
    """Give finished files their names; if one cannot have its own, none has."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as undo:
        for number, (part, path) in enumerate(finished[:-1]):
            old = Path(folder) / str(number)
            if path.exists():
                shutil.copy2(path, old)
            os.replace(part, path)
            undo.callback(_put_back, old, path)
        for part, path in finished[-1:]:
            os.replace(part, path)
        undo.pop_all()


def _put_back(old: Path, path: Path) -> None:
    if old.exists():
        shutil.copy2(old, path)
    else:
        path.unlink()


def _write(content: pd.DataFrame | str, path: Path, ending: str) -> None:
    with path.open("wb") as stream:
        if isinstance(content, str):
            stream.write(content.encode())
        elif ending in {".parquet", ".pq"}:
            neutralise(content).to_parquet(stream, index=False)
        else:
            neutralise(content).to_csv(stream, index=False, lineterminator="\n")
        stream.flush()
        os.fsync(stream.fileno())


def _make_readable(path: Path) -> None:
    """Give a temporary file the permissions that an ordinary one would have."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)


def rejected_path(output: Path) -> Path:
    """Name the file of the rejected rows: ``<output>.rejected.csv``."""
    return output.with_name(f"{output.name}.rejected.csv")
