"""Whether tuning helped: fits of the winner against fits of the default parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import Stage
from slarisk.decisions.costs import dollars
from slarisk.tracking.tags import Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slarisk.sweeps.runs import JobRun

_RESULTS = {
    Tuning.helps: "Tuning helps",
    Tuning.may_help: "Tuning may help",
    Tuning.no_better_than_seed: "Tuning helps no more than another seed would",
    Tuning.only_out_of_fold: "Tuning helps out of fold, but not on the test tickets",
    Tuning.does_not_help: "Tuning does not help",
}


def classify_tuning(jobs: Sequence[JobRun]) -> Tuning:
    """Compare the fits of the winner with those of the default parameters.

    The winner has the best objective of many trials, so a better mean is not enough: it must be
    better by more than two standard errors over the seeds, and also on the test tickets, which no
    trial has seen.
    """
    tuned, default = _list_metric(jobs, "objective")
    if not tuned or not default:
        return Tuning.not_compared
    gain = np.mean(default) - np.mean(tuned)
    error = np.hypot(_deviation(tuned), _deviation(default)) / np.sqrt(len(tuned))
    tuned_loss, default_loss = _list_metric(jobs, "expected_loss")
    if gain <= 0:
        return Tuning.does_not_help
    if gain <= 2 * error:
        return Tuning.no_better_than_seed
    if np.mean(tuned_loss) >= np.mean(default_loss):
        return Tuning.only_out_of_fold
    return Tuning.helps if len(tuned) > 1 else Tuning.may_help


def summarise_seeds(jobs: Sequence[JobRun]) -> dict[str, list[float]]:
    """Return mean and standard deviation over the seeds, of winner and default parameters."""
    metrics = {}
    for name in ("objective", "expected_loss"):
        for stage, values in zip(
            (Stage.tuned, Stage.default), _list_metric(jobs, name), strict=True
        ):
            if values:
                metrics[f"{stage.value}_{name}_mean"] = [float(np.mean(values))]
                metrics[f"{stage.value}_{name}_std"] = [_deviation(values)]
    return metrics


def format_tuning(jobs: Sequence[JobRun]) -> str:
    """Format whether tuning helped, with objective and test loss of winner and defaults."""
    tuning = classify_tuning(jobs)
    if tuning is Tuning.not_compared:
        return "The winner was not compared with the default parameters (hydra.sweeper.seeds=0)."
    tuned, default = (
        _format_mean(each, "{:.4f}".format) for each in _list_metric(jobs, "objective")
    )
    tuned_loss, default_loss = (
        _format_mean(each, dollars) for each in _list_metric(jobs, "expected_loss")
    )
    count = len(_list_metric(jobs, "objective")[0])
    seeds = f"{count} seeds" if count > 1 else "one fit each, so the spread over seeds is unknown"
    return (
        f"{_RESULTS[tuning]} ({seeds}): objective {tuned} tuned, {default} with the default "
        f"parameters; test loss {tuned_loss} and {default_loss}."
    )


def _list_metric(jobs: Sequence[JobRun], name: str) -> tuple[list[float], list[float]]:
    """List a metric of the fits of the winner, and of those of the default parameters."""
    tuned = [job.metrics[name] for job in jobs if job.stage is Stage.tuned]
    return tuned, [job.metrics[name] for job in jobs if job.stage is Stage.default]


def _deviation(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _format_mean(values: Sequence[float], format_number: Callable[[float], str]) -> str:
    deviation = f" (sd {format_number(_deviation(values))})" if len(values) > 1 else ""
    return f"{format_number(float(np.mean(values)))}{deviation}"
