"""``python train.py``: from an export to a tracked, evaluated model."""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import (
    AnalyzeConfig,
    CreationKind,
    ModelLog,
    Stage,
    TrainConfig,
    Weight,
)
from slarisk.decisions.policies import PerTicket, check_decision, find_policy, make_policy
from slarisk.decisions.thresholds import (
    best_threshold,
    bootstrap_threshold,
    grid_threshold,
    threshold_curve,
)
from slarisk.errors import InputError
from slarisk.evaluation.baselines import fit_baselines
from slarisk.evaluation.checks.evidence import Evidence
from slarisk.evaluation.checks.run import run_checks
from slarisk.evaluation.evaluate import evaluate
from slarisk.evaluation.importance import measure_importance
from slarisk.evaluation.profile import Bins, bin_values
from slarisk.jobs.command import build_estimator
from slarisk.jobs.processors import share_processors
from slarisk.jobs.sharing import Outcome, prepare_once, tell_outcome
from slarisk.jobs.unsent import Unsent, keeping, take_unsent
from slarisk.learning.crossfit import Learned, learn
from slarisk.learning.features import (
    check_features,
    comparable_names,
    feature_fields,
    make_features,
)
from slarisk.learning.models import stakes
from slarisk.learning.splits import HeldOut, fingerprint_split, hold_out, make_folds
from slarisk.scoring.bundle import PROBABILITY, Bundle, Manifest
from slarisk.scoring.memory import OUT_OF_FOLD, TEST, identify
from slarisk.tickets.contract import check_known, check_policy, take_facts
from slarisk.tickets.labels import LabelledTickets, fingerprint_policy
from slarisk.tracking.registry import find_run, has_run
from slarisk.tracking.report import (
    DATA_TAG,
    JOB_TAG,
    OVERRIDES_TAG,
    POLICY_TAG,
    SPLIT_TAG,
    Trained,
    fingerprint_job,
    identify_source,
    report_model,
    report_result,
    report_start,
)
from slarisk.tracking.results import say_job
from slarisk.tracking.send import send
from slarisk.tracking.source import Source, find_source
from slarisk.tracking.store import open_store, reopened_run, tracked_run
from slarisk.tracking.summary import headline, list_doubts
from slarisk.tracking.sweeps import end_orphans, find_finished, tag_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator

    from slarisk.decisions.costs import CostMatrix
    from slarisk.evaluation.baselines import Baseline
    from slarisk.evaluation.importance import Importance

SECONDS = "training_seconds"


def train(config: TrainConfig) -> float:
    """Train, evaluate and track one model, alone or as a job of a sweep.

    Returns
    -------
    float
        The objective: out-of-fold expected loss per training ticket, in dollars.
    """
    if config.from_run is not None:
        from slarisk.jobs.repeat import repeat

        return repeat(config)
    if config.sweep.parent is not None:
        return train_job(config)
    if config.choices.get("search"):
        print(f"search={config.choices['search']} without -m: one run, no search", file=sys.stderr)
    prepared = prepare(config)
    experiment = open_store(config.tracking)
    end_orphans(experiment)
    if config.skip_finished and (done := find_finished(experiment, prepared.tags[JOB_TAG])):
        print(f"finished before, with the same config, data and code: run {done.run_id}")
        return done.metrics["objective"]
    trained, run_id = track(config, prepared, whole=True)
    tell(trained, run_id)
    return trained.metrics["objective"]


def train_job(config: TrainConfig) -> float:
    """Train as a job of a sweep: nested under its parent run, with the model left out.

    A job that fails, even before it could begin, is a FAILED run.
    """
    experiment = open_store(config.tracking)
    nested = tag_job(config)
    try:
        prepared = prepare(config)
        if config.skip_finished and (done := find_finished(experiment, prepared.tags[JOB_TAG])):
            tell_outcome(config, Outcome("skipped", done.run_id, f"{done.name}: finished before"))
            return done.metrics["objective"]
        prepared.tags.update(nested)
    except InputError as error:
        tell_outcome(config, Outcome("failed", None, f"{name_run(config)} failed: {error}"))
        with tracked_run(name_run(config), nested):
            send(report_start(config, find_source()))
            raise
    try:
        with share_processors(config.sweep.at_once):
            trained, run_id = track(config, prepared, whole=config.log_models is ModelLog.all)
    except Exception as error:
        tell_outcome(config, Outcome("failed", None, f"{name_run(config)} failed: {error}"))
        raise
    tell_outcome(config, Outcome("finished", run_id, say_job(name_run(config), trained.metrics)))
    return trained.metrics["objective"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that a run needs before anything is fitted, and the tags that say where it is from."""

    estimator: BaseEstimator
    tickets: LabelledTickets
    held_out: HeldOut
    truth: NDArray[np.float64] | None
    source: Source
    tags: dict[str, str]


def prepare(config: TrainConfig) -> Prepared:
    """Check the config, read and label the tickets, and hold the test tickets out."""
    refuse_late_features(config)
    check_decision(config.decision)
    estimator = build_estimator(config.model)
    tickets = prepare_once(config)
    held_out = hold_out(tickets.frame, config.split)
    truth = read_truth(config.data.truth, tickets.frame.iloc[held_out.test])
    source = find_source()
    grounds = fingerprint_grounds(config, tickets, held_out)
    tags = grounds | identify_source(source)
    tags[JOB_TAG] = fingerprint_job(config, grounds, source)
    tags[OVERRIDES_TAG] = json.dumps(config.overrides)
    return Prepared(estimator, tickets, held_out, truth, source, tags)


def track(config: TrainConfig, prepared: Prepared, whole: bool) -> tuple[Trained, str]:
    """Fit and judge a model as a run; ``whole`` logs the model and its plots with it.

    A fit whose store went away before it was logged is taken up where it was.
    """
    job = prepared.tags[JOB_TAG]
    unsent = take_unsent(job)
    resumed = unsent.run_id if unsent is not None and has_run(unsent.run_id) else None
    if unsent is not None:
        print("fitted before, when the store was out of reach: logging that")
    with tracked_run(name_run(config), prepared.tags, resumed) as run_id:
        send(report_start(config, prepared.source))
        trained = unsent.trained if unsent is not None else fit_and_judge(config, prepared)
        with keeping(job, Unsent(trained, run_id)):
            send(report_result(trained))
            if whole:
                send(report_model(trained, find_importance(trained)))
    return trained, run_id


def complete_run(run_id: str, config: TrainConfig) -> None:
    """Fit a job of a sweep again, and log the model and the plots that it left out.

    Raises
    ------
    InputError
        The second fit comes to other figures than the run did.
    """
    trained = fit_and_judge(config, prepare(config))
    other = find_changes(find_run(run_id).metrics, trained.all_metrics)
    if other:
        raise InputError(
            f"run {run_id} cannot be repeated, so its model is not logged: {', '.join(other)} "
            "came out differently. Has the data or the code changed since?"
        )
    with reopened_run(run_id):
        send(report_model(trained, find_importance(trained)))


def find_changes(old: Mapping[str, float], new: Mapping[str, float]) -> list[str]:
    """Name the metrics that two fits do not share to the last digit; time is none of them."""
    names = dict.fromkeys([*new, *old])
    return [name for name in names if name != SECONDS and not _same(old.get(name), new.get(name))]


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or (math.isnan(one) and math.isnan(other))


def fingerprint_grounds(
    config: TrainConfig, tickets: LabelledTickets, held_out: HeldOut
) -> dict[str, str]:
    """Fingerprint what a run is judged on, as tags: runs that share all three can be compared."""
    return {
        DATA_TAG: tickets.fingerprint,
        SPLIT_TAG: fingerprint_split(tickets.frame, held_out),
        POLICY_TAG: fingerprint_terms(config),
    }


def fingerprint_terms(config: TrainConfig | AnalyzeConfig) -> str:
    """Fingerprint what labels and prices a ticket.

    That is SLA, costs, and what the data policy says of labels and of cost columns.
    """
    policy = fingerprint_policy(config.sla, config.cost)
    policy += f" {config.data.label} {config.data.costs}"
    return hashlib.sha256(policy.encode()).hexdigest()[:16]


def refuse_late_features(config: TrainConfig) -> None:
    """Refuse features that the data policy lacks, or that are not known when the score is made."""
    check_policy(config.data)
    available = {*config.data.columns}
    if config.data.creation.kind is CreationKind.imputed:
        available.add("created_at")
    check_features(config.features, available)
    check_known(feature_fields(config.features), config.data, config.moment)


def name_run(config: TrainConfig) -> str:
    """Name a run by its choices: the model, what it sees, the data, and what is out of the way."""
    choices = config.choices
    model = choices.get("model") or str(config.model["_target_"]).rsplit(".", 1)[-1]
    words = [model, config.features.name, config.data.name]
    words += [choices["experiment"]] if choices.get("experiment") else []
    words += [config.decision.name.value] if config.decision.name is not PerTicket.kind else []
    words += [config.calibration.name.value] if config.calibration.name.value != "none" else []
    words += ["weighted"] if config.weight is not Weight.none else []
    words += [f"trial {config.sweep.trial}"] if config.sweep.trial is not None else []
    words += [config.sweep.stage.value] if config.sweep.stage is not Stage.trial else []
    return " ".join(dict.fromkeys(words))


def fit_and_judge(config: TrainConfig, prepared: Prepared) -> Trained:
    """Cross-fit on the training tickets, choose there, and judge once on the test tickets."""
    started = time.monotonic()
    tickets, held_out = prepared.tickets, prepared.held_out
    training = tickets.frame.iloc[held_out.train].reset_index(drop=True)
    test = tickets.frame.iloc[held_out.test].reset_index(drop=True)
    training_costs, costs = (tickets.costs.take(rows) for rows in (held_out.train, held_out.test))
    folds = make_folds(training, config.split)
    estimator = prepared.estimator
    beside = stakes(estimator, training_costs, config.weight)
    learned = learn(estimator, config.features, config.calibration.name, training, folds, beside)

    honest = training[learned.honest].reset_index(drop=True)
    honest_costs = training_costs.take(learned.honest)
    out_of_fold = learned.probability[learned.honest]
    chosen = best_threshold(out_of_fold, _breach(honest), honest_costs)
    low, high = bootstrap_threshold(
        out_of_fold,
        _breach(honest),
        honest_costs,
        config.evaluation.threshold_draws,
        config.evaluation.confidence,
        np.random.default_rng(config.evaluation.seed),
    )

    probability = learned.model.probability(test)
    threshold = chosen.threshold
    kind = find_policy(config.decision)
    if kind.optimistic:
        # the notebook's mistake, on demand: the test tickets choose the threshold
        threshold = grid_threshold(probability, _breach(test), costs).threshold
    policy = make_policy(config.decision, threshold)
    escalated_out_of_fold = policy.decide(out_of_fold, honest_costs, take_facts(honest))
    evaluation = evaluate(
        _breach(test),
        probability,
        policy.decide(probability, costs, take_facts(test)),
        costs,
        judge_baselines(training, test, training_costs, costs, config),
        config.evaluation.bootstrap_draws,
        config.evaluation.confidence,
        config.evaluation.seed,
        prepared.truth,
    )
    metrics = {
        # first, as the UI compares runs by the first metric until told otherwise
        "objective": float(honest_costs.losses(_breach(honest), escalated_out_of_fold).mean()),
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
    evidence = Evidence(
        config=config,
        tickets=tickets,
        training=training,
        test=test,
        folds=folds,
        learned=learned,
        threshold=bundle.manifest.threshold,
        metrics=metrics,
    )
    return Trained(
        config=config,
        tickets=tickets,
        left_out=held_out.left_out,
        training=training,
        test=test,
        bundle=bundle,
        probability=probability,
        metrics=metrics,
        evaluation=evaluation,
        curve=threshold_curve(probability, _breach(test), costs),
        checks=run_checks(evidence),
    )


def find_importance(trained: Trained) -> Importance | None:
    """Measure which features the model leans on, on the test tickets."""
    config = trained.config
    return measure_importance(
        trained.bundle.model.pipeline,
        make_features(trained.test, config.features),
        _breach(trained.test),
        config.evaluation.importance_repeats,
        config.evaluation.importance_tickets,
        config.evaluation.seed,
    )


def _breach(tickets: pd.DataFrame) -> NDArray[np.bool_]:
    breach: NDArray[np.bool_] = tickets["breach"].to_numpy(dtype=bool)
    return breach


def judge_baselines(
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
        _breach(training),
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


def read_truth(path: str | None, tickets: pd.DataFrame) -> NDArray[np.float64] | None:
    """Read the true breach probabilities of synthetic tickets; None if some are not in the file."""
    if path is None:
        return None
    types = {"ticket_id": str, "breach_probability": float}
    try:
        table = pd.read_csv(path, usecols=list(types), dtype=types)
        by_id = table.set_index("ticket_id")["breach_probability"]
        if not by_id.index.is_unique:
            raise ValueError("a ticket_id repeats")
    except (OSError, ValueError) as error:
        raise InputError(
            f"data.truth={path}: is to hold {' and '.join(types)}, a row per ticket, but cannot be "
            f"read: {str(error).splitlines()[0]}"
        ) from error
    truth: NDArray[np.float64] = tickets["ticket_id"].map(by_id).to_numpy(dtype=float)
    return None if np.isnan(truth).any() else truth


def pack(
    config: TrainConfig,
    learned: Learned,
    threshold: float,
    tickets: LabelledTickets,
    held_out: HeldOut,
) -> Bundle:
    """Pack the model with the policies and the memory of the tickets it has met."""
    training = tickets.frame.iloc[held_out.train]
    manifest = Manifest(
        data=config.data,
        sla=config.sla,
        cost=config.cost,
        features=config.features,
        decision=config.decision,
        calibrator=learned.model.calibrator,
        threshold=min(threshold, float(np.finfo(float).max)),  # JSON has no infinity
        fallback_cost=float(training["breach_cost"].mean()),
        model_name=config.choices.get("model") or type(learned.model.pipeline[-1]).__name__,
        profile=profile_tickets(config, training, learned),
    )
    seen = pd.DataFrame(
        {
            "identity": identify(tickets.frame, config.data),
            "created_at": tickets.frame["created_at"].to_numpy(),
            "origin": pd.Series(None, index=tickets.frame.index, dtype="str"),
            "probability": np.nan,
        }
    )
    seen.loc[held_out.train, "origin"] = OUT_OF_FOLD
    seen.loc[held_out.train, "probability"] = learned.probability
    seen.loc[held_out.test, "origin"] = TEST
    return Bundle(manifest, learned.model, seen)


def profile_tickets(
    config: TrainConfig, training: pd.DataFrame, learned: Learned
) -> dict[str, Bins]:
    """Say what the training tickets look like, so that scoring can tell how far others are."""
    frame = make_features(training, config.features)
    looks = {name: bin_values(frame[name]) for name in comparable_names(config.features)}
    return looks | {PROBABILITY: bin_values(pd.Series(learned.probability))}


def tell(trained: Trained, run_id: str) -> None:
    """Say on the terminal what the run is worth."""
    print(headline(trained))
    for doubt in list_doubts(trained.checks):
        print(f"  {doubt}")
    print(f"  run {run_id}", flush=True)
