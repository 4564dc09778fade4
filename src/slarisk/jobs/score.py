"""``python score.py``: the champion scores an export and decides about each ticket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slarisk.decisions.costs import dollars
from slarisk.errors import InputError
from slarisk.scoring.bundle import BUCKETS, ESCALATE, ESCALATED, LEFT
from slarisk.scoring.export import notebook_export, rejected_path, score_tickets, write_all
from slarisk.tickets.contract import read_tickets
from slarisk.tickets.labels import prepare_tickets
from slarisk.tracking.registry import (
    fetch_run_bundle,
    fetch_version,
    find_run,
    require_champion,
)
from slarisk.tracking.store import open_store

if TYPE_CHECKING:
    from slarisk.config import ScoreConfig
    from slarisk.scoring.bundle import Bundle
    from slarisk.scoring.export import Scored


def score(config: ScoreConfig) -> None:
    """Score an export with the champion, or with the model of the run that is named.

    Raises
    ------
    InputError
        There is no champion, the export cannot be read, or the output cannot be written.
    """
    open_store(config.tracking)
    output = Path(config.output)
    if output.is_dir():
        raise InputError(f"output={output}: is a folder; name a file in it.")
    bundle, version = fetch_model(config)
    source = config.input or bundle.manifest.data.path
    if output.resolve() == Path(source).resolve():
        raise InputError(f"output={output}: is the input, and would be lost.")
    if config.export.name == "notebook":
        write_notebook_export(bundle, source, output)
        return
    tickets = read_tickets(bundle.manifest.data, ["ticket_id", *bundle.required_fields()], source)
    scored_at = datetime.now(UTC).isoformat(timespec="seconds")
    scored = score_tickets(bundle, tickets, version, scored_at)
    write_all({rejected_path(output): scored.rejected, output: scored.export})
    print(f"{source} -> {output}, by {describe_model(config, bundle, version)}")
    print(summarise(scored, bundle))


def fetch_model(config: ScoreConfig) -> tuple[Bundle, str]:
    """Fetch the model that scores, and the text that names its version in the export."""
    if config.run_id is not None:
        run = find_run(config.run_id)
        return fetch_run_bundle(run), f"run {run.run_id}"
    name = config.tracking.registered_model
    champion = require_champion(name)
    return fetch_version(name, champion), champion.number


def describe_model(config: ScoreConfig, bundle: Bundle, version: str) -> str:
    """Name the model that scored."""
    if config.run_id is not None:
        return f"{bundle.manifest.model_name} of {version}"
    name = config.tracking.registered_model
    return f"{name} version {version} ({bundle.manifest.model_name}), the champion"


def write_notebook_export(bundle: Bundle, source: str, output: Path) -> None:
    """Write the notebook's own dashboard file, with its in-sample scores and simulated dates."""
    manifest = bundle.manifest
    manifest.data.path = source
    tickets = prepare_tickets(manifest.data, manifest.sla, manifest.cost)
    frame = notebook_export(bundle, tickets.frame)
    write_all({output: frame})
    print(
        f"{source} -> {output}: the notebook's export, {len(frame):,} tickets. Its scores of "
        "training tickets are in-sample and its dates are drawn at random: for parity only."
    )


def summarise(scored: Scored, bundle: Bundle) -> str:
    """Say what came in, what went out, and what the decisions are expected to be worth."""
    export, decided = scored.export, scored.decided
    if len(export) + len(scored.rejected) != scored.rows_in:
        raise AssertionError("rows in and rows out do not add up")
    lines = [
        f"tickets in {scored.rows_in:,} = scored {len(export):,} + rejected "
        f"{len(scored.rejected):,}"
    ]
    for reason, count in scored.rejected["reason"].value_counts().items():
        lines.append(f"  rejected, {reason}: {count:,}")
    origins = ", ".join(
        f"{n:,} {name}" for name, n in export["Score_Origin"].value_counts().items()
    )
    lines.append(f"scores: {origins}; open tickets {int(export['Is_SLA_Breach'].isna().sum()):,}")
    buckets = export["Risk_Bucket"].value_counts()
    lines.append(", ".join(f"{name} {buckets.get(name, 0):,}" for name in BUCKETS))
    escalate = decided[ESCALATE].to_numpy(dtype=bool)
    left = float(decided[LEFT].sum())
    acted = float(decided[LEFT].where(~escalate, decided[ESCALATED]).sum())
    lines.append(
        f"escalate {int(escalate.sum()):,}: expected loss {dollars(acted)}, against "
        f"{dollars(left)} if all are left"
    )
    for name, count in bundle.unseen_categories(scored.tickets).items():
        lines.append(f"  {count:,} tickets have a {name} that training did not have")
    return "\n".join(lines)
