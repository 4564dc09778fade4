"""The MLflow items of a scoring run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import list_parameters
from slarisk.model.bundle import BUCKETS, PROBABILITY
from slarisk.reports.plots import plot_drift
from slarisk.scoring.states import STATES
from slarisk.scoring.summary import format_drift
from slarisk.stats.drift import MAJOR, MODERATE
from slarisk.tracking.items import Item, Metrics, Params, Plot, Table, Tags, Text
from slarisk.tracking.tags import CONFIG_FILE, DESCRIPTION_TAG, KIND_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from slarisk.config import Decision, ScoreConfig
    from slarisk.model.bundle import Bundle
    from slarisk.scoring.summary import ScoringSummary

SCORING = "scoring"
_SUFFIX = "-scoring"


def scoring_experiment(config: ScoreConfig) -> ScoreConfig:
    """Name the experiment of scorings, which is not that of trainings."""
    experiment = config.tracking.experiment + _SUFFIX
    return replace(config, tracking=replace(config.tracking, experiment=experiment))


def identify_scoring(version: str) -> dict[str, str]:
    """Tag a run as a scoring by a model version."""
    return {KIND_TAG: SCORING, "model_version": version}


def scoring_start_items(
    config: ScoreConfig, bundle: Bundle, version: str, decision: Decision
) -> Iterator[Item]:
    """Items known before a row is read, so that failed runs have them, too."""
    params = {
        "model": bundle.manifest.model_name,
        "model_version": version,
        "data": bundle.manifest.data.name,
        "engine": config.engine.value,
        "decision": decision.name.value,
    }
    parameters = list_parameters(decision)
    yield Params(params | {f"decision.{key}": str(each) for key, each in parameters.items()})
    # without the store's address: it may hold a password
    written = replace(config, tracking=replace(config.tracking, uri=None))
    yield Text(CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.structured(written)))


def scoring_items(summary: ScoringSummary, drift: pd.DataFrame, seconds: float) -> Iterator[Item]:
    """Items of a finished scoring."""
    rejected = summary.rejected.total()
    metrics = {
        "scored": float(summary.scored),
        "rejected": float(rejected),
        "rejected_share": rejected / max(summary.scored + rejected, 1),
        "escalated": float(summary.escalated),
        "expected_loss": round(summary.acted, 2),
        "expected_loss_averted": round(summary.left - summary.acted, 2),
        "open_tickets": float(summary.still_open),
        "seconds": seconds,
    }
    if summary.scored:
        metrics["escalation_rate"] = summary.escalated / summary.scored
        metrics["expected_loss_per_ticket"] = summary.acted / summary.scored
    if summary.states:
        metrics |= {f"state_{name}": float(summary.states[name]) for name in STATES}
        metrics["open_escalated"] = float(summary.open_escalated)
        metrics["open_loss_averted"] = round(summary.open_left - summary.open_acted, 2)
    for name in BUCKETS:
        metrics[f"bucket_{name.split()[0].lower()}"] = float(summary.buckets[name])
    metrics |= {f"rejected_{reason}": float(n) for reason, n in summary.rejected.items()}
    metrics |= {name: float(n) for name, n in summary.times.items()}
    if summary.notes:
        metrics["history_short"] = float(summary.short_history)
        metrics["history_stale"] = float(summary.stale_history)
    metrics |= {f"unseen_{name}": float(n) for name, n in summary.unseen.items()}
    yield Metrics(metrics)
    yield Tags({DESCRIPTION_TAG: describe_scoring(summary, drift)})
    if len(drift):
        yield Metrics(dict(zip("psi_" + drift["feature"], drift["psi"].tolist(), strict=True)))
        yield Metrics({"psi_most": float(drift["psi"].max())})
        yield Table("drift.csv", drift)
        yield Plot("plots/drift.png", plot_drift(drift, PROBABILITY))


def describe_scoring(summary: ScoringSummary, drift: pd.DataFrame) -> str:
    """Write the run's description in Markdown."""
    lines = [
        f"**{summary.scored:,} tickets scored, {summary.rejected.total():,} rows rejected, "
        f"{summary.escalated:,} escalated.**",
        "",
        f"Expected loss {dollars(summary.acted)}, {dollars(summary.left - summary.acted)} less "
        "than if all were left.",
    ]
    if summary.notes:
        lines += ["", " ".join(note.strip() for note in summary.notes) + "."]
    if moved := format_drift(drift):
        lines += ["", f"**Drift** (PSI, moderate from {MODERATE}, major above {MAJOR}): {moved}."]
    elif len(drift):
        lines += ["", f"No drift: every PSI is below {MODERATE}."]
    if summary.unseen:
        unseen = ", ".join(f"{name} ({n:,} tickets)" for name, n in summary.unseen.most_common())
        lines += ["", f"Categories that training did not have: {unseen}."]
    return "\n".join(lines)
