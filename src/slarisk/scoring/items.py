"""What a scoring logs to MLflow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from omegaconf import OmegaConf

from slarisk.decisions.costs import dollars
from slarisk.decisions.policies import list_parameters
from slarisk.model.bundle import BUCKETS, PROBABILITY
from slarisk.reports.plots import plot_drift
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
_SUFFIX = "-scoring"  # scorings have an experiment of their own, beside that of the trainings


def scoring_experiment(config: ScoreConfig) -> ScoreConfig:
    """Give scorings an experiment of their own."""
    experiment = config.tracking.experiment + _SUFFIX
    return replace(config, tracking=replace(config.tracking, experiment=experiment))


def identify_scoring(version: str) -> dict[str, str]:
    """Tags by which a run is a scoring, and by which version."""
    return {KIND_TAG: SCORING, "model_version": version}


def scoring_start_items(
    config: ScoreConfig, bundle: Bundle, version: str, decision: Decision
) -> Iterator[Item]:
    """What is known before a row is read, so that a failed run can be explained too."""
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


def scoring_items(tally: ScoringSummary, drift: pd.DataFrame, seconds: float) -> Iterator[Item]:
    """What came of it."""
    metrics = {
        "scored": float(tally.scored),
        "rejected": float(tally.rejected.total()),
        "rejected_share": tally.rejected.total() / max(tally.scored + tally.rejected.total(), 1),
        "escalated": float(tally.escalated),
        "expected_loss": round(tally.acted, 2),
        "expected_loss_averted": round(tally.left - tally.acted, 2),
        "open_tickets": float(tally.still_open),
        "seconds": seconds,
    }
    if tally.scored:
        metrics["escalation_rate"] = tally.escalated / tally.scored
        metrics["expected_loss_per_ticket"] = tally.acted / tally.scored
    for name in BUCKETS:
        metrics[f"bucket_{name.split()[0].lower()}"] = float(tally.buckets[name])
    metrics |= {f"rejected_{reason}": float(n) for reason, n in tally.rejected.items()}
    metrics |= {f"unseen_{name}": float(n) for name, n in tally.unseen.items()}
    yield Metrics(metrics)
    yield Tags({DESCRIPTION_TAG: describe_scoring(tally, drift)})
    if len(drift):
        yield Metrics(dict(zip("psi_" + drift["feature"], drift["psi"].tolist(), strict=True)))
        yield Metrics({"psi_most": float(drift["psi"].max())})
        yield Table("drift.csv", drift)
        yield Plot("plots/drift.png", plot_drift(drift, PROBABILITY))


def describe_scoring(tally: ScoringSummary, drift: pd.DataFrame) -> str:
    """Write the run's description in Markdown."""
    lines = [
        f"**{tally.scored:,} tickets scored, {tally.rejected.total():,} rows rejected, "
        f"{tally.escalated:,} escalated.**",
        "",
        f"Expected loss {dollars(tally.acted)}, {dollars(tally.left - tally.acted)} less than if "
        "all were left.",
    ]
    moved = drift[drift["psi"] >= MODERATE]
    if len(moved):
        told = ", ".join(f"{row.feature} {row.psi:.2f} ({row.band})" for row in moved.itertuples())
        lines += ["", f"**Drift** (PSI, moderate from {MODERATE}, major above {MAJOR}): {told}."]
    elif len(drift):
        lines += ["", f"No drift: every PSI is below {MODERATE}."]
    if tally.unseen:
        told = ", ".join(f"{name} ({n:,} tickets)" for name, n in tally.unseen.most_common())
        lines += ["", f"Categories that training did not have: {told}."]
    return "\n".join(lines)
