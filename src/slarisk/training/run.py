"""A training run in MLflow: fit, log, and resume what could not be logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.config import Stage, TrainConfig, Weight
from slarisk.decisions.policies import PerTicket
from slarisk.errors import InputError
from slarisk.evaluation.importance import measure_importance
from slarisk.learning.features import make_features
from slarisk.tracking.log import log_items
from slarisk.tracking.runs import find_run, has_run
from slarisk.tracking.store import reopened_run, tracked_run
from slarisk.tracking.tags import JOB_TAG
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.items import model_items, result_items, start_items
from slarisk.training.pending_results import PendingResult, keep_pending_result, load_pending_result
from slarisk.training.prepare import prepare
from slarisk.training.priced import breach_labels
from slarisk.training.result import TrainingResult, differing_metrics

if TYPE_CHECKING:
    from slarisk.evaluation.importance import Importance
    from slarisk.training.prepare import Prepared


def track(config: TrainConfig, prepared: Prepared, with_model: bool) -> tuple[TrainingResult, str]:
    """Fit, evaluate and log a model as one MLflow run.

    A result that could not be logged earlier, because the store was out of reach, is logged now
    without a second fit.

    Parameters
    ----------
    config : TrainConfig
    prepared : Prepared
    with_model : bool
        Log the model and its plots, too; jobs of a sweep leave them out.

    Returns
    -------
    result : TrainingResult
    run_id : str
    """
    job = prepared.tags[JOB_TAG]
    pending = load_pending_result(job)
    resumed = pending.run_id if pending is not None and has_run(pending.run_id) else None
    if pending is not None:
        print("fitted before, when the store was out of reach: logging that")
    with tracked_run(name_run(config), prepared.tags, resumed) as run_id:
        log_items(start_items(config, prepared.source))
        result = pending.result if pending is not None else fit_and_evaluate(config, prepared)
        with keep_pending_result(job, PendingResult(result, run_id)):
            log_items(result_items(result))
            if with_model:
                log_items(model_items(result, find_importance(result)))
    return result, run_id


def complete_run(run_id: str, config: TrainConfig) -> None:
    """Fit a job of a sweep again, and add the model and the plots to its run.

    Raises
    ------
    InputError
        A metric of the second fit differs from the run's.
    """
    result = fit_and_evaluate(config, prepare(config))
    other = differing_metrics(find_run(run_id).metrics, result.all_metrics)
    if other:
        raise InputError(
            f"run {run_id} cannot be repeated, so its model is not logged: {', '.join(other)} "
            "came out differently. Has the data or the code changed since?"
        )
    with reopened_run(run_id):
        log_items(model_items(result, find_importance(result)))


def name_run(config: TrainConfig) -> str:
    """Name a run by its model, features and data, and by every choice that is not the default."""
    choices = config.choices
    model = choices.get("model") or str(config.model["_target_"]).rsplit(".", 1)[-1]
    words = [model, config.features.name, config.data.name]
    words += [choices["experiment"]] if choices.get("experiment") else []
    words += [config.decision.name.value] if config.decision.name is not PerTicket.kind else []
    words += [config.calibration.name.value] if config.calibration.name.value != "none" else []
    words += ["weighted"] if config.weight is not Weight.none else []
    words += [f"half-life {config.half_life:g} d"] if config.half_life is not None else []
    words += [f"trial {config.sweep.trial}"] if config.sweep.trial is not None else []
    words += [config.sweep.stage.value] if config.sweep.stage is not Stage.trial else []
    return " ".join(dict.fromkeys(words))


def find_importance(result: TrainingResult) -> Importance | None:
    """Measure permutation importance on the test tickets."""
    config = result.config
    return measure_importance(
        result.bundle.model.pipeline,
        make_features(result.test, config.features),
        breach_labels(result.test),
        config.evaluation.importance_repeats,
        config.evaluation.importance_tickets,
        config.evaluation.seed,
    )
