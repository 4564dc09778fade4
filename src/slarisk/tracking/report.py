"""What a training run tells MLflow, item by item."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd
from omegaconf import OmegaConf

from slarisk.config import ModelLog, SweepJob, Tracking
from slarisk.decisions.policies import find_policy, list_parameters
from slarisk.evaluation.checks.check import Check, Verdict, list_codes
from slarisk.evaluation.plots import (
    plot_calibration,
    plot_importance,
    plot_loss_curve,
    plot_precision_recall,
    plot_roc,
)
from slarisk.learning.features import feature_fields
from slarisk.tracking.items import Dataset, Item, Metrics, Model, Params, Plot, Table, Tags, Text
from slarisk.tracking.source import write_versions
from slarisk.tracking.summary import write_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from slarisk.config import TrainConfig
    from slarisk.decisions.thresholds import ThresholdCurve
    from slarisk.evaluation.evaluate import Evaluation
    from slarisk.evaluation.importance import Importance
    from slarisk.scoring.bundle import Bundle
    from slarisk.tickets.labels import LabelledTickets
    from slarisk.tracking.source import Source

DATA_TAG, SPLIT_TAG, POLICY_TAG = "data_fingerprint", "split_fingerprint", "policy_fingerprint"
OPTIMISTIC_TAG = "optimistic"
FAILED_CHECKS_TAG = "failed_checks"
WARNINGS_TAG = "warnings"
BASELINE_TAG = "best_baseline"
DESCRIPTION_TAG = "mlflow.note.content"
OVERRIDES_TAG = "overrides"
JOB_TAG = "job_fingerprint"
KIND_TAG = "kind"  # of runs that train nothing
CONFIG_FILE, VERSIONS_FILE, DIFF_FILE = "config.yaml", "versions.json", "uncommitted.diff"
CHECKS_FILE = "checks.csv"


@dataclass(frozen=True, eq=False)
class Trained:
    """Everything a training run found out."""

    config: TrainConfig
    tickets: LabelledTickets
    left_out: dict[str, int]
    training: pd.DataFrame
    test: pd.DataFrame
    bundle: Bundle
    probability: NDArray[np.float64]
    metrics: dict[str, float]
    evaluation: Evaluation
    curve: ThresholdCurve
    checks: list[Check]

    @property
    def optimistic(self) -> bool:
        """Whether something was chosen on the test tickets."""
        return find_policy(self.config.decision).optimistic

    @property
    def all_metrics(self) -> dict[str, float]:
        """The metrics, with the counts of tickets that could not be labelled."""
        dropped = self.tickets.dropped.items()
        return self.metrics | {f"dropped_{reason}": float(count) for reason, count in dropped}


def identify_source(source: Source) -> dict[str, str]:
    """Tags that say which code made a run."""
    return {"git_commit": source.commit, "git_dirty": str(source.dirty).lower()}


def describe_choices(config: TrainConfig) -> dict[str, str]:
    """Flatten the choices of a run and its tuned values into params."""
    params = dict(config.choices)
    params |= {f"model.{key}": str(value) for key, value in config.model.items()}
    params |= {
        "moment": config.moment.value,
        "cost.escalation_cost": str(config.cost.escalation_cost),
        "cost.charged": str(config.cost.charged),
        "cost.effectiveness": str(config.cost.effectiveness),
        "split.folds": str(config.split.folds),
        "split.seed": str(config.split.seed),
    }
    for key in ("test_size", "test_from", "test_until"):
        if (value := getattr(config.split, key)) is not None:
            params[f"split.{key}"] = str(value)
    parameters = list_parameters(config.decision)
    return params | {f"decision.{key}": str(value) for key, value in parameters.items()}


def report_start(config: TrainConfig, source: Source) -> Iterator[Item]:
    """What is known before anything is fitted, so that a failed run can be explained too."""
    yield Params(describe_choices(config))
    yield Text(CONFIG_FILE, write_config(config))
    yield Text(VERSIONS_FILE, write_versions())
    if source.dirty:
        yield Text(DIFF_FILE, source.diff)


def write_config(config: TrainConfig) -> str:
    """Write the resolved config as YAML, without the store's address: it may hold a password."""
    config = replace(config, tracking=replace(config.tracking, uri=None), sweep=SweepJob())
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def fingerprint_job(config: TrainConfig, grounds: Mapping[str, str], source: Source) -> str:
    """Fingerprint what a run comes from: its resolved config, its tickets and the code."""
    alike = replace(
        config,
        tracking=Tracking(name=""),
        sweep=SweepJob(),
        skip_finished=False,
        log_models=ModelLog.best,
        overrides=[],
    )
    parts = [repr(alike), *grounds.values(), source.code]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def report_result(trained: Trained) -> Iterator[Item]:
    """What the run found out, in figures and words."""
    yield Metrics(trained.all_metrics)
    yield Tags(
        {
            BASELINE_TAG: trained.evaluation.best_baseline,
            OPTIMISTIC_TAG: str(trained.optimistic).lower(),
            WARNINGS_TAG: list_codes(trained.checks, Verdict.warning),
            FAILED_CHECKS_TAG: list_codes(trained.checks, Verdict.failed),
            DESCRIPTION_TAG: write_summary(trained),
        }
    )
    yield Table(CHECKS_FILE, tabulate_checks(trained.checks))
    yield Table("tickets.csv", count_tickets(trained))
    yield from _dataset(trained)
    if trained.config.choices.get("experiment"):
        yield Tags({"recipe": trained.config.choices["experiment"]})


def report_model(trained: Trained, importance: Importance | None) -> Iterator[Item]:
    """The model itself, and the plots that show how it works."""
    yield from _plots(trained, importance)
    if importance is not None:
        yield Table("importance.csv", _tabulate_importance(importance))
    yield Model(trained.bundle)


def tabulate_checks(checks: list[Check]) -> pd.DataFrame:
    """Write checks as a table."""
    rows = [(c.code, c.title, c.verdict.value, c.detail) for c in checks]
    return pd.DataFrame(rows, columns=["code", "check", "verdict", "detail"])


def read_checks(text: str) -> list[Check]:
    """Read checks as :func:`tabulate_checks` wrote them, as CSV."""
    table = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)
    columns = table[["code", "check", "verdict", "detail"]].itertuples(index=False, name=None)
    return [Check(code, title, Verdict(word), detail) for code, title, word, detail in columns]


def count_tickets(trained: Trained) -> pd.DataFrame:
    """Account for every ticket of the export: where it went, and why."""
    rows = [("rows in", trained.tickets.rows_in), ("labelled", len(trained.tickets.frame))]
    rows += [(f"dropped: {reason}", count) for reason, count in trained.tickets.dropped.items()]
    rows += [("training", len(trained.training)), ("test", len(trained.test))]
    rows += [(f"left out: {reason}", count) for reason, count in trained.left_out.items()]
    return pd.DataFrame(rows, columns=["tickets", "count"])


def _dataset(trained: Trained) -> Iterator[Item]:
    config = trained.config
    fields = [name for name in feature_fields(config.features) if name in trained.training]
    frame = trained.tickets.frame
    yield Dataset(
        name=config.data.name,
        source=config.data.path,
        fingerprint=trained.tickets.fingerprint,
        frame=frame[fields].assign(breach=frame["breach"]),
        target="breach",
        context="training",
    )


def _plots(trained: Trained, importance: Importance | None) -> Iterator[Item]:
    breach, probability = trained.test["breach"].to_numpy(), trained.probability
    metrics = trained.metrics
    yield Plot("plots/roc.png", plot_roc(breach, probability))
    yield Plot("plots/precision_recall.png", plot_precision_recall(breach, probability))
    yield Plot("plots/calibration.png", plot_calibration(breach, probability))
    losses = {name: float(each.sum()) for name, each in trained.evaluation.baseline_losses.items()}
    yield Plot(
        "plots/loss_by_threshold.png",
        plot_loss_curve(
            trained.curve,
            chosen=metrics["optimal_threshold"],
            low=metrics["optimal_threshold_low"],
            high=metrics["optimal_threshold_high"],
            baselines=losses,
            decision_loss=metrics["expected_loss"],
            title=f"Loss by threshold, {len(breach):,} test tickets",
            decision_label=find_policy(trained.config.decision).label,
        ),
    )
    if importance is not None:
        plot = plot_importance(importance.names, importance.mean, importance.std)
        yield Plot("plots/importance.png", plot)


def _tabulate_importance(importance: Importance) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": importance.names, "mean": importance.mean, "std": importance.std}
    )
