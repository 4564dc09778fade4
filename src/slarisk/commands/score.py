"""``python score.py``: the champion scores an export and decides about each ticket."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.config import Engine, Moment
from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import find_policy, validate_decision
from slarisk.errors import InputError, StoreError
from slarisk.exports.files import STDIN
from slarisk.learning.context import add_context, remember_tickets
from slarisk.model.bundle import BUCKETS, HISTORY
from slarisk.registry.kept_history import fetch_kept_history, keep_history
from slarisk.registry.models import fetch_run_bundle, fetch_version
from slarisk.registry.versions import require_champion
from slarisk.scoring.export import notebook_export
from slarisk.scoring.history import KEPT
from slarisk.scoring.items import (
    identify_scoring,
    scoring_experiment,
    scoring_items,
    scoring_start_items,
)
from slarisk.scoring.output_files import rejected_path, write_all
from slarisk.scoring.states import CLOSED, STATES
from slarisk.scoring.stream import score_stream
from slarisk.scoring.summary import format_drift, rank_counts
from slarisk.scoring.task import Task
from slarisk.stats.drift import MODERATE
from slarisk.tickets.contract import note_local_times
from slarisk.tickets.labels import read_moment
from slarisk.tickets.prepare import prepare_tickets
from slarisk.tracking.log import log_items
from slarisk.tracking.runs import end_orphans, find_run
from slarisk.tracking.store import open_store, tracked_run

if TYPE_CHECKING:
    from slarisk.config import Decision, ScoreConfig
    from slarisk.learning.context import History
    from slarisk.model.bundle import Bundle
    from slarisk.scoring.summary import ScoringSummary

STDOUT = "-"


def score(config: ScoreConfig) -> None:
    """Score an export with the champion, or with the model of the run that is named.

    Raises
    ------
    InputError
        There is no champion, the export cannot be read, or the output cannot be written.
    """
    config = scoring_experiment(config)
    end_orphans(open_store(config.tracking))
    output = find_output(config)
    bundle, version, model_run = fetch_model(config)
    source = config.input or bundle.manifest.data.path
    rejected = find_rejected(config, output)
    validate_paths(source, output, rejected)
    validate_history(config, bundle)
    if config.export.name == "notebook":
        write_notebook_export(bundle, source, output or Path(config.output))
        return
    if bundle.manifest.has_context:
        bundle = bundle.remember(find_kept_history(config, bundle, model_run))
    task = Task(
        bundle=bundle,
        decision=choose_decision(config, bundle),
        source=source,
        output=output,
        rejected=rejected,
        version=version,
        scored_at=datetime.now(UTC).isoformat(timespec="seconds"),
        max_rejected=config.max_rejected,
        history=config.history,
        at=read_moment_of_scoring(config.at, bundle.manifest.data.timezone),
    )
    summary, run_id = track_scoring(config, task, model_run)
    # standard output may have the scores
    out = sys.stdout if output is not None else sys.stderr
    name = "standard input" if source == STDIN else source
    print(
        f"{name} -> {output or 'standard output'}, by {describe_model(config, bundle, version)}",
        file=out,
    )
    print(format_scoring(summary, bundle), file=out)
    print(f"  run {run_id}", file=out, flush=True)


def read_moment_of_scoring(at: str | None, timezone: str | None) -> pd.Timestamp | None:
    """Read the moment as of which to score; None is the latest time in the input.

    Where times are written without an offset and no time zone is named, now is local time.
    """
    if at is None:
        return None
    if at != "now":
        return read_moment(at, timezone)
    now = datetime.now(UTC) if timezone is not None else datetime.now().astimezone()
    return pd.Timestamp(now.replace(tzinfo=None))


def format_states(summary: ScoringSummary, bundle: Bundle) -> list[str]:
    """Say how many tickets were open at the moment of scoring, and what acting on them averts."""
    if not summary.states:
        return []
    counts = ", ".join(f"{name.replace('_', ' ')} {summary.states[name]:,}" for name in STATES)
    lines = [f"as of {summary.as_of}: {counts}"]
    if summary.states.total() > summary.states[CLOSED]:
        later = f", later {summary.waiting:,}" if bundle.manifest.moment is Moment.open else ""
        averted = dollars(summary.open_left - summary.open_acted)
        lines.append(
            f"  of those open, escalate now {summary.open_escalated:,}{later}: expected loss "
            f"{dollars(summary.open_acted)}, against {dollars(summary.open_left)} if all are left "
            f"({averted} averted)"
        )
    return lines


def find_kept_history(config: ScoreConfig, bundle: Bundle, model_run: str) -> History:
    """Fetch what was kept beside the model; a damaged file only stops a scoring that needs it."""
    assert bundle.history is not None
    try:
        return fetch_kept_history(bundle, model_run)
    except InputError as error:
        if config.history == KEPT:
            raise InputError(
                f"history=kept: {error} Score the whole log without history=kept to renew it."
            ) from error
        print(f"what was kept is replaced: {error}", file=sys.stderr)
        return bundle.history


def validate_history(config: ScoreConfig, bundle: Bundle) -> None:
    """Raise InputError if a history is given to a model that has no use for it."""
    if config.history is not None and not bundle.manifest.has_context:
        raise InputError(
            f"history={config.history}: {bundle.manifest.model_name} has no context features; its "
            "scores depend on their own tickets alone."
        )


def track_scoring(config: ScoreConfig, task: Task, model_run: str) -> tuple[ScoringSummary, str]:
    """Score as an MLflow run; a store that fails after the scores are written costs no scores.

    What a model with context is to remember of the tickets is kept beside it, with its run.
    """
    started = time.monotonic()
    summary: ScoringSummary | None = None
    run_id = "not logged"
    try:
        with tracked_run("scoring", identify_scoring(task.version)) as run_id:
            log_items(scoring_start_items(config, task.bundle, task.version, task.decision))
            with tempfile.TemporaryDirectory() as folder:
                if task.bundle.manifest.has_context:
                    task = replace(task, state=Path(folder) / HISTORY)
                summary = run_engine(config, task)
                if task.state is not None:
                    keep_history(task.state, model_run)
            drift = summary.measure_drift(task.bundle.manifest.profile)
            log_items(scoring_items(summary, drift, time.monotonic() - started))
    except StoreError as error:
        if summary is None:
            raise
        print(f"scored, but the run could not be logged: {error}", file=sys.stderr)
    return summary, run_id


def run_engine(config: ScoreConfig, task: Task) -> ScoringSummary:
    """Score with the engine of the config."""
    if config.engine is Engine.local:
        return score_stream(task)
    from slarisk.scoring.spark.engine import score_spark

    return score_spark(task)


def find_output(config: ScoreConfig) -> Path | None:
    """Give the path to write; None is standard output."""
    if config.output == STDOUT:
        if config.engine is Engine.spark:
            raise InputError("output=-: engine=spark writes a folder of part files; name one.")
        return None
    output = Path(config.output)
    if output.is_dir() and config.engine is Engine.local:
        raise InputError(f"output={output}: is a folder; name a file in it.")
    return output


def find_rejected(config: ScoreConfig, output: Path | None) -> Path:
    """Give the path of the rejected rows."""
    if config.rejected is not None:
        return Path(config.rejected)
    return rejected_path(output if output is not None else Path("outputs/risk_scores.csv"))


def validate_paths(source: str, output: Path | None, rejected: Path) -> None:
    """Raise InputError if a result would overwrite the input or another result."""
    for key, path in (("output", output), ("rejected", rejected)):
        if path is not None and path.resolve() == Path(source).resolve():
            raise InputError(f"{key}={path}: is the input, and would be lost.")
    if output is not None and output.resolve() == rejected.resolve():
        raise InputError(f"rejected={rejected}: is the output, and would take its place.")


def choose_decision(config: ScoreConfig, bundle: Bundle) -> Decision:
    """Give the decision policy of the command, else that of training."""
    decision = config.decision
    if decision is None:
        return bundle.manifest.decision
    if find_policy(decision).optimistic:
        raise InputError(
            f"decision={decision.name.value}: chooses on tickets that are labelled; it cannot "
            "score."
        )
    validate_decision(decision, bundle.manifest.moment)
    return decision


def fetch_model(config: ScoreConfig) -> tuple[Bundle, str, str]:
    """Fetch the model, the text for ``Model_Version`` in the export, and the id of its run."""
    if config.run_id is not None:
        run = find_run(config.run_id)
        return fetch_run_bundle(run), f"run {run.run_id}", run.run_id
    name = config.tracking.registered_model
    champion = require_champion(name)
    return fetch_version(name, champion), champion.number, champion.run_id


def describe_model(config: ScoreConfig, bundle: Bundle, version: str) -> str:
    """Name the model that scored."""
    if config.run_id is not None:
        return f"{bundle.manifest.model_name} of {version}"
    name = config.tracking.registered_model
    return f"{name} version {version} ({bundle.manifest.model_name}), the champion"


def write_notebook_export(bundle: Bundle, source: str, output: Path) -> None:
    """Write the notebook's dashboard file, with its in-sample scores and simulated dates."""
    manifest = bundle.manifest
    manifest.data.path = source
    tickets = prepare_tickets(manifest.data, manifest.sla, manifest.cost)
    history = remember_tickets(tickets, manifest.features, manifest.data)
    frame = notebook_export(bundle, add_context(tickets.frame, manifest.features, history))
    write_all({output: frame})
    print(
        f"{source} -> {output}: the notebook's export, {len(frame):,} tickets. Its scores of "
        "training tickets are in-sample and its dates are drawn at random: for parity only."
    )


def format_scoring(summary: ScoringSummary, bundle: Bundle) -> str:
    """List rows in and out, score origins, buckets, expected losses, unseen categories, drift."""
    rejected = summary.rejected.total()
    lines = []
    rows, data = summary.rows_in, bundle.manifest.data
    if data.events is not None:
        lines.append(f"events read {rows:,}")
        rows = summary.scored + rejected
    if rows != summary.scored + rejected:
        raise AssertionError("rows in and rows out do not add up")
    lines.append(f"tickets in {rows:,} = scored {summary.scored:,} + rejected {rejected:,}")
    lines += [f"  rejected, {reason}: {n:,}" for reason, n in rank_counts(summary.rejected)]
    origins = ", ".join(f"{n:,} {name}" for name, n in rank_counts(summary.origins))
    lines.append(f"scores: {origins or 'none'}; open tickets {summary.still_open:,}")
    lines.append(", ".join(f"{name} {summary.buckets[name]:,}" for name in BUCKETS))
    if bundle.manifest.moment is not Moment.open:
        averted = dollars(summary.left - summary.acted)
        lines.append(
            f"escalate {summary.escalated:,}: expected loss {dollars(summary.acted)}, against "
            f"{dollars(summary.left)} if all are left ({averted} averted)"
        )
    lines += format_states(summary, bundle)
    lines += summary.notes
    if summary.stale_history:
        lines.append(
            f"  {summary.stale_history:,} tickets were created more than a day after it ends"
        )
    if summary.short_history:
        lines.append(f"  it is too short for a load or a rate of {summary.short_history:,} tickets")
    for name, count in rank_counts(summary.unseen):
        lines.append(f"  {count:,} tickets have a {name} that training did not have")
    lines += [f"  {note}" for note in note_local_times(summary.times, data.timezone)]
    drift = summary.measure_drift(bundle.manifest.profile)
    if len(drift):
        moved = format_drift(drift) or "none"
        lines.append(f"drift against training: {moved} (PSI from {MODERATE})")
    return "\n".join(lines)
