"""Cross-fit, choose the threshold out of fold, and evaluate once on the test tickets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.checks.context import CheckContext
from slarisk.checks.run import run_checks
from slarisk.config import TrainConfig
from slarisk.decisions.policies import find_policy, make_policy
from slarisk.decisions.thresholds import (
    best_threshold,
    bootstrap_threshold,
    grid_threshold,
    threshold_curve,
)
from slarisk.evaluation.baselines import fit_baselines
from slarisk.evaluation.evaluate import evaluate
from slarisk.learning.crossfit import cross_fit
from slarisk.learning.models import stakes
from slarisk.learning.splits import make_folds
from slarisk.tickets.contract import take_facts
from slarisk.training.pack import pack
from slarisk.training.result import SECONDS, TrainingResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from slarisk.decisions.costs import CostMatrix
    from slarisk.evaluation.baselines import Baseline
    from slarisk.training.prepare import Prepared


def fit_and_evaluate(config: TrainConfig, prepared: Prepared) -> TrainingResult:
    """Cross-fit on the training tickets, choose there, and judge once on the test tickets."""
    started = time.monotonic()
    tickets, held_out = prepared.tickets, prepared.held_out
    training = tickets.frame.iloc[held_out.train].reset_index(drop=True)
    test = tickets.frame.iloc[held_out.test].reset_index(drop=True)
    training_costs, costs = (tickets.costs.take(rows) for rows in (held_out.train, held_out.test))
    folds = make_folds(training, config.split)
    estimator = prepared.estimator
    beside = stakes(estimator, training_costs, config.weight)
    learned = cross_fit(
        estimator, config.features, config.calibration.name, training, folds, beside
    )

    eligible = training[learned.eligible].reset_index(drop=True)
    eligible_costs = training_costs.take(learned.eligible)
    out_of_fold = learned.probability[learned.eligible]
    chosen = best_threshold(out_of_fold, breach_labels(eligible), eligible_costs)
    low, high = bootstrap_threshold(
        out_of_fold,
        breach_labels(eligible),
        eligible_costs,
        config.evaluation.threshold_draws,
        config.evaluation.confidence,
        np.random.default_rng(config.evaluation.seed),
    )

    probability = learned.model.probability(test)
    threshold = chosen.threshold
    kind = find_policy(config.decision)
    if kind.optimistic:
        # the notebook's mistake, on demand: the test tickets choose the threshold
        threshold = grid_threshold(probability, breach_labels(test), costs).threshold
    policy = make_policy(config.decision, threshold)
    escalated_out_of_fold = policy.decide(out_of_fold, eligible_costs, take_facts(eligible))
    evaluation = evaluate(
        breach_labels(test),
        probability,
        policy.decide(probability, costs, take_facts(test)),
        costs,
        decide_baselines(training, test, training_costs, costs, config),
        config.evaluation.bootstrap_draws,
        config.evaluation.confidence,
        config.evaluation.seed,
        prepared.truth,
    )
    metrics = {
        # first, as the UI compares runs by the first metric until told otherwise
        "objective": float(
            eligible_costs.losses(breach_labels(eligible), escalated_out_of_fold).mean()
        ),
        **evaluation.metrics,
        "optimal_threshold": chosen.finite,
        "optimal_threshold_low": low,
        "optimal_threshold_high": high,
        "train_tickets": float(len(training)),
        SECONDS: time.monotonic() - started,
    }
    if kind.by_threshold:
        metrics["decision_threshold"] = min(threshold, 1.0)
    bundle = pack(config, learned, threshold, tickets, held_out)
    evidence = CheckContext(
        config=config,
        tickets=tickets,
        training=training,
        test=test,
        folds=folds,
        learned=learned,
        threshold=bundle.manifest.threshold,
        metrics=metrics,
    )
    return TrainingResult(
        config=config,
        tickets=tickets,
        left_out=held_out.left_out,
        training=training,
        test=test,
        bundle=bundle,
        probability=probability,
        metrics=metrics,
        evaluation=evaluation,
        curve=threshold_curve(probability, breach_labels(test), costs),
        checks=run_checks(evidence),
    )


def breach_labels(tickets: pd.DataFrame) -> NDArray[np.bool_]:
    breach: NDArray[np.bool_] = tickets["breach"].to_numpy(dtype=bool)
    return breach


def decide_baselines(
    training: pd.DataFrame,
    test: pd.DataFrame,
    training_costs: CostMatrix,
    test_costs: CostMatrix,
    config: TrainConfig,
) -> dict[str, NDArray[np.bool_]]:
    """Fit the trivial rules on the training tickets; say what they would escalate of the test."""
    baselines: Sequence[Baseline] = fit_baselines(
        _labels(training, "priority"),
        _segments(training, config),
        breach_labels(training),
        training_costs,
    )
    priority, segments = _labels(test, "priority"), _segments(test, config)
    return {each.name: each.escalate(priority, segments, test_costs) for each in baselines}


def _labels(tickets: pd.DataFrame, field: str) -> NDArray[np.object_] | None:
    return tickets[field].to_numpy(dtype=object) if field in tickets else None


def _segments(tickets: pd.DataFrame, config: TrainConfig) -> list[NDArray[np.object_]]:
    return [
        tickets[name].to_numpy(dtype=object) for name in config.data.segments if name in tickets
    ]
