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
from slarisk.training.fit import breach_labels, fit_and_evaluate
from slarisk.training.items import model_items, result_items, start_items
from slarisk.training.pending_results import PendingResult, keep_pending_result, load_pending_result
from slarisk.training.prepare import prepare
from slarisk.training.result import TrainingResult, find_changes

if TYPE_CHECKING:
    from slarisk.evaluation.importance import Importance
    from slarisk.training.prepare import Prepared


def track(config: TrainConfig, prepared: Prepared, whole: bool) -> tuple[TrainingResult, str]:
    """Fit and judge a model as a run; ``whole`` logs the model and its plots with it.

    A fit whose store went away before it was logged is taken up where it was.
    """
    job = prepared.tags[JOB_TAG]
    unsent = load_pending_result(job)
    resumed = unsent.run_id if unsent is not None and has_run(unsent.run_id) else None
    if unsent is not None:
        print("fitted before, when the store was out of reach: logging that")
    with tracked_run(name_run(config), prepared.tags, resumed) as run_id:
        log_items(start_items(config, prepared.source))
        trained = unsent.trained if unsent is not None else fit_and_evaluate(config, prepared)
        with keep_pending_result(job, PendingResult(trained, run_id)):
            log_items(result_items(trained))
            if whole:
                log_items(model_items(trained, find_importance(trained)))
    return trained, run_id


def complete_run(run_id: str, config: TrainConfig) -> None:
    """Fit a job of a sweep again, and log the model and the plots that it left out.

    Raises
    ------
    InputError
        The second fit comes to other figures than the run did.
    """
    trained = fit_and_evaluate(config, prepare(config))
    other = find_changes(find_run(run_id).metrics, trained.all_metrics)
    if other:
        raise InputError(
            f"run {run_id} cannot be repeated, so its model is not logged: {', '.join(other)} "
            "came out differently. Has the data or the code changed since?"
        )
    with reopened_run(run_id):
        log_items(model_items(trained, find_importance(trained)))


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


def find_importance(trained: TrainingResult) -> Importance | None:
    """Measure which features the model leans on, on the test tickets."""
    config = trained.config
    return measure_importance(
        trained.bundle.model.pipeline,
        make_features(trained.test, config.features),
        breach_labels(trained.test),
        config.evaluation.importance_repeats,
        config.evaluation.importance_tickets,
        config.evaluation.seed,
    )
