"""What a promoted version carries: the gate's tables, the reason, its tags and its model card."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slarisk.checks.check import list_problems
from slarisk.decisions.effect import describe_effect
from slarisk.evaluation.baselines import BASELINE_WORDS
from slarisk.learning.features import feature_fields
from slarisk.model.checksums import write_checksums
from slarisk.registry.gate import format_difference
from slarisk.registry.state import format_time
from slarisk.registry.versions import FILES_TAG
from slarisk.reports.formats import format_saving
from slarisk.reports.markdown import escape_markdown, render_markdown
from slarisk.times.clock import describe_clock
from slarisk.tracking.tags import DATA_TAG, OVERRIDES_TAG, POLICY_TAG, SPLIT_TAG
from slarisk.training.summary import format_period

if TYPE_CHECKING:
    from slarisk.config import PromoteConfig
    from slarisk.registry.candidate import Candidate
    from slarisk.registry.gate import GateResult
    from slarisk.registry.state import Change
    from slarisk.registry.versions import Version


VERDICT_TAG, WHY_TAG = "verdict", "why"
IN_CHARGE, WAS_IN_CHARGE = "Why it is in charge", "Why it was in charge"  # titles of a section

_METRIC_WORDS = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "calibration_error": "calibration error",
    "brier": "Brier score",
}
_RUN_TAGS = (DATA_TAG, SPLIT_TAG, POLICY_TAG, "git_commit", "git_dirty")
_UNTIL = "In charge until"
_SECTION = re.compile(
    rf"^### (?:{IN_CHARGE}|{WAS_IN_CHARGE})\n\n(?:{_UNTIL} [^\n]*\n\n)?", re.MULTILINE
)


def _describe_result(result: GateResult, champion: Version | None) -> dict[str, object]:
    """Collect what the templates of the tables need, the least loss per ticket first."""
    losses: list[tuple[str, float, int, object]] = [
        ("candidate", result.loss, result.tickets, None),
        *((name, each.rival_loss, each.tickets, each.saved) for name, each in result.rules.items()),
    ]
    if (rival := result.champion) is not None:
        if rival.tickets != result.tickets:
            losses.append(("candidate", rival.candidate_loss, rival.tickets, None))
        losses.append(("champion", rival.rival_loss, rival.tickets, rival.saved))
    return {
        "result": result,
        "losses": sorted(losses, key=lambda row: row[1] / row[2]),
        "champion": champion.number if champion else None,
        "rules": BASELINE_WORDS,
        "metrics": _METRIC_WORDS,
    }


def write_tables(result: GateResult, champion: Version | None) -> str:
    """Write the figures of the gate as tables for a terminal and for Markdown."""
    return render_markdown("gate.md.j2", gap="", **_describe_result(result, champion))


def write_card(candidate: Candidate, result: GateResult, champion: Version | None, why: str) -> str:
    """Write the model card of the version that a candidate becomes, as Markdown."""
    run, context = candidate.run, candidate.context
    overrides = json.loads(run.tags.get(OVERRIDES_TAG, "[]"))
    return render_markdown(
        "card.md.j2",
        **_describe_result(result, champion),
        title=IN_CHARGE,
        why=why,
        run=run,
        tags=dict.fromkeys(_RUN_TAGS, "") | run.tags,
        logged=run.metrics,
        config=context.config,
        effect=describe_effect(context.config.cost),
        clock=describe_clock(context.config.sla, context.config.data.timezone),
        tickets=context.tickets,
        training=context.training,
        training_period=format_period(context.training, context.config.data),
        test=context.test,
        test_period=format_period(context.test, context.config.data),
        fields=feature_fields(context.config.features),
        decision=candidate.bundle.manifest.policy.describe(),
        problems=list_problems(context.checks),
        train_command=shlex.join(["python", "train.py", *overrides]),
    )


def explain_promotion(
    candidate: Candidate, result: GateResult, champion: Version | None, config: PromoteConfig
) -> str:
    """Say in a few sentences why a candidate is promoted."""
    rule = result.best_rule
    value = (
        f"It saves {format_saving(result.rules[rule].saved)} over the best rule "
        f"({BASELINE_WORDS[rule]}) on {result.tickets:,} held-out tickets"
    )
    if champion is None or result.champion is None:
        why = f"{value}; it is the first champion."
    else:
        margin = f"; the margin was {config.margin:g}" if config.margin else ""
        why = (
            f"Its loss compared with version {champion.number}: "
            f"{format_difference(result.champion)}, on {result.champion.tickets:,} tickets neither "
            f"was trained on{margin}. {value}."
        )
    return f"{why} {config.reason}" if config.reason else why


def promotion_tags(
    candidate: Candidate,
    result: GateResult,
    champion: Version | None,
    why: str,
    config: PromoteConfig,
) -> dict[str, str]:
    """Collect the evidence of a promotion as tags of the version, in the order MLflow shows."""
    tags = {WHY_TAG: why, "promoted_at": datetime.now(UTC).isoformat(timespec="seconds")}
    if champion is not None and result.champion is not None:
        tags["replaced_version"] = champion.number
        tags["against_champion"] = (
            f"{format_difference(result.champion)} on {result.champion.tickets:,} tickets"
        )
    best = result.rules[result.best_rule]
    value, low, high = best.saved
    figures = {
        "expected_loss": result.loss,
        "best_baseline_loss": best.rival_loss,
        "value_over_baseline": value,
        "value_over_baseline_low": low,
        "value_over_baseline_high": high,
    }
    tags |= {name: f"{amount:.10g}" for name, amount in figures.items()}
    tags["intervals"] = (
        f"confidence={config.confidence:g} bootstrap_draws={config.bootstrap_draws} "
        f"seed={config.seed} resampled={best.resampled.value}"
    )
    if config.accept:
        tags["accepted_checks"] = json.dumps(config.accept)
    tags |= {tag: candidate.run.tags.get(tag, "") for tag in _RUN_TAGS}
    tags[VERDICT_TAG] = write_tables(result, champion)
    return tags | {FILES_TAG: write_checksums(candidate.checksums)}


def date_card(card: str, replacement: Change | None) -> str:
    """Write into a model card that its version is in charge, or when and why it was replaced.

    Parameters
    ----------
    card : str
        The description of a version; one without the section is left as it is.
    replacement : Change, optional
        The change that put another version in charge; None if this one is.
    """
    if replacement is None:
        return _SECTION.sub(f"### {IN_CHARGE}\n\n", card, count=1)
    by = (
        f"version {replacement.new} replaced it" if replacement.new else "no version took its place"
    )
    until = (
        f"{_UNTIL} {format_time(replacement.at)}, when {by} ({replacement.action}). "
        f"{escape_markdown(replacement.why)}"
    )
    return _SECTION.sub(lambda _: f"### {WAS_IN_CHARGE}\n\n{until}\n\n", card, count=1)
