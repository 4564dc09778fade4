"""The verdict of the gate as a table, and the model card of a version."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from slarisk.checks.check import list_problems
from slarisk.config import LabelKind
from slarisk.decisions.costs import dollars
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.learning.features import feature_fields
from slarisk.registry.promotion import IN_CHARGE
from slarisk.tracking.tags import DATA_TAG, OVERRIDES_TAG
from slarisk.training.summary import format_period

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slarisk.config import TrainConfig
    from slarisk.model.bundle import Manifest
    from slarisk.registry.candidate import ComparisonContext
    from slarisk.registry.gate import Comparison, Verdict
    from slarisk.tracking.runs import RunRecord


_QUALITY = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "calibration_error": "calibration error",
    "escalation_rate": "escalated",
}


def tabulate(verdict: Verdict, champion: str | None) -> str:
    """Write the figures of the gate as tables that a terminal and Markdown both show.

    Parameters
    ----------
    verdict : Verdict
    champion : str, optional
        The number of the version in charge.
    """
    rows = [("the candidate", verdict.loss, verdict.tickets, "")]
    rows += [
        (f"rule: {BASELINE_WORDS[name]}", rule.rival_loss, rule.tickets, say_saved(rule))
        for name, rule in verdict.rules.items()
    ]
    rival = verdict.champion
    if rival is not None:
        some = f", {rival.tickets:,} tickets" if rival.tickets != verdict.tickets else ""
        if some:
            rows.append((f"the candidate{some}", rival.candidate_loss, rival.tickets, ""))
        rows.append(
            (
                f"champion, version {champion}{some}",
                rival.rival_loss,
                rival.tickets,
                say_saved(rival),
            )
        )
    rows.sort(key=lambda row: row[1] / row[2])
    header = (
        f"{verdict.tickets:,} held-out tickets, {verdict.breached:,} breached",
        "loss",
        "per ticket",
        "the candidate saves",
    )
    losses = [
        (words, dollars(loss), f"${loss / count:,.2f}", saved) for words, loss, count, saved in rows
    ]
    text = _write_table(header, losses)
    if verdict.quality:
        header = ("probabilities and decisions", "champion", "candidate", "change")
        text += "\n\nOn the tickets that neither was trained on:\n\n" + _write_table(
            header,
            [(_QUALITY[name], *_say_change(name, *pair)) for name, pair in verdict.quality.items()],
        )
    return text


def say_saved(comparison: Comparison) -> str:
    """Write what the candidate saves, with its interval."""
    saved, low, high = comparison.saved
    return f"{dollars(saved)} [{dollars(low)} to {dollars(high)}]"


def _say_change(name: str, candidate: float, champion: float) -> tuple[str, str, str]:
    if name == "escalation_rate":
        points = 100 * (candidate - champion)
        return f"{champion:.1%}", f"{candidate:.1%}", f"{points:+.1f} points"
    return f"{champion:.3f}", f"{candidate:.3f}", f"{candidate - champion:+.3f}"


def _write_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table with its columns in line: the first to the left, others right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(
        "| "
        + " | ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in (header, rule, *rows)
    )


def space_out(table: str) -> str:
    """Keep the columns of a Markdown table apart where its page does not: in MLflow's."""
    return "\n".join(
        line if set(line) <= set("| -:") else line.replace(" | ", " | &nbsp;&nbsp; ")
        for line in table.splitlines()
    )


def write_card(
    run: RunRecord,
    grounds: ComparisonContext,
    manifest: Manifest,
    verdict: Verdict,
    table: str,
    why: str,
) -> str:
    """Write the model card of a version: what it is for, what it rests on, where it ends."""
    sections = {
        "": _say_purpose(manifest),
        IN_CHARGE: "\n\n".join(filter(None, [why, _list(verdict.notes), space_out(table)])),
        "Data": _say_data(run, grounds),
        "Label and costs": _say_policy(grounds.config),
        "Model": _say_model(run, grounds.config, manifest, verdict),
        "Limits": _list(_find_limits(grounds)),
        "Repeat": _say_repeat(run),
    }
    parts = [f"### {title}\n\n{text}" if title else text for title, text in sections.items()]
    return "\n\n".join(parts)


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _say_purpose(manifest: Manifest) -> str:
    return (
        "Says of each support ticket how likely it is to breach its SLA, what is to be expected in "
        "dollars if it is left and if it is escalated, and which of the two to do. It takes raw "
        f"tickets with the columns of the data policy `{manifest.data.name}`. Made to decide which "
        "tickets to work on first; not to judge the people who work on them."
    )


def _say_data(run: RunRecord, grounds: ComparisonContext) -> str:
    data, tickets = grounds.config.data, grounds.tickets
    dropped = ", ".join(f"{reason} {count:,}" for reason, count in tickets.dropped.items())
    return _list(
        [
            f"`{data.path}` (fingerprint `{run.tags.get(DATA_TAG)}`): {tickets.rows_in:,} tickets, "
            f"{len(tickets.frame):,} with a label" + (f"; without: {dropped}" if dropped else ""),
            f"trained on {len(grounds.training):,}, created {format_period(grounds.training)}",
            f"judged on {len(grounds.test):,} held out ({grounds.config.split.name.value}), "
            f"created {format_period(grounds.test)}; {grounds.test['breach'].mean():.1%} breached",
        ]
    )


def _say_policy(config: TrainConfig) -> str:
    data, sla, cost = config.data, config.sla, config.cost
    label = {
        LabelKind.target: "it is resolved later than the target of its priority",
        LabelKind.due_date: "it is resolved after its due date",
        LabelKind.column: f"the field `{data.label.column}` is {data.label.breach_value}",
    }[data.label.kind]
    breach = f"the field `{data.costs.breach}`" if data.costs.breach else f"sla={sla.name}"
    lines = [
        f"a ticket breaches if {label}",
        f"a breach costs what {breach} says",
        "an escalation costs "
        + (
            f"what the field `{data.costs.escalation}` says"
            if data.costs.escalation
            else f"${cost.escalation_cost:g}"
        )
        + f" (cost={cost.name}), {cost.charged:.0%} of it on tickets that would have breached, and "
        f"averts {cost.effectiveness:.0%} of the cost of a breach",
    ]
    rows = [
        (name, f"{hours:g} h", f"${sla.costs.get(name, 0):,g}")
        for name, hours in sla.targets.items()
    ]
    rows += [
        (f"{alias} (as {name})", f"{sla.targets[name]:g} h", f"${sla.costs.get(name, 0):,g}")
        for alias, name in sla.aliases.items()
        if name in sla.targets
    ]
    table = space_out(_write_table(("priority", "target", "a breach costs"), rows))
    return _list(lines) + (f"\n\n{table}" if rows else "")


def _say_model(run: RunRecord, config: TrainConfig, manifest: Manifest, verdict: Verdict) -> str:
    metrics = run.metrics
    quality = [
        f"{words} {metrics[name]:.3f}"
        for name, words in {**_QUALITY, "brier": "Brier score"}.items()
        if name in metrics and name != "escalation_rate"
    ]
    return _list(
        [
            f"`{config.model['_target_']}`, calibration {config.calibration.name.value}, features "
            f"`{config.features.name}`: {', '.join(feature_fields(config.features))}",
            f"decides {manifest.policy.describe()}; on the test tickets it escalates "
            f"{metrics.get('escalation_rate', float('nan')):.1%}",
            f"test loss {dollars(verdict.loss)}, value over the best rule "
            f"({BASELINE_WORDS[verdict.best_rule]}) {say_saved(verdict.rules[verdict.best_rule])}",
            *([", ".join(quality)] if quality else []),
        ]
    )


def _find_limits(grounds: ComparisonContext) -> list[str]:
    return [
        *list_problems(grounds.checks),
        "The dollars are those of the costs above. With other costs, train and promote again.",
        f"It knows tickets created until {grounds.training['created_at'].max():%Y-%m-%d}: as "
        "products, customers and teams change, it gets worse. Watch its loss."
        if grounds.training["created_at"].notna().any()
        else "It does not know when its tickets were created. Watch its loss.",
        "A category that it has not met counts as none of those it knows, and a missing value as "
        "unknown.",
        "The intervals say what chance does to a sample of such tickets, and nothing of change.",
    ]


def _say_repeat(run: RunRecord) -> str:
    overrides = json.loads(run.tags.get(OVERRIDES_TAG, "[]"))
    commit = run.tags.get("git_commit", "")[:10] or "unknown"
    dirty = (
        " with the changes in its `uncommitted.diff`" if run.tags.get("git_dirty") == "true" else ""
    )
    return (
        f"Run `{run.run_id}` ({run.name}), code `{commit}`{dirty}; its `config.yaml` is the whole "
        "config. Train it again, or judge it again:\n\n"
        f"    {shlex.join(['python', 'train.py', *overrides])}\n"
        f"    python promote.py run_id={run.run_id} dry_run=true"
    )
