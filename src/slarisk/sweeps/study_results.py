"""What an Optuna study shows in the end: its figures, and how the best trial lies in the space."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial

_EDGE = 0.02  # of a parameter's range


def find_edges(trial: FrozenTrial) -> dict[str, str]:
    """Find the parameters of a trial at an edge of their space, with value and edge as text."""
    edges = {}
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            continue
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        value, low, high = trial.params[name], distribution.low, distribution.high
        if low == high:
            continue
        scale: Callable[[float], float] = math.log if distribution.log else float
        position = (scale(value) - scale(low)) / (scale(high) - scale(low))
        if not _EDGE < position < 1 - _EDGE:
            end = f"lowest, {low:g}" if position <= _EDGE else f"highest, {high:g}"
            edges[name] = f"{value:g} (the {end})"
    return edges


def format_edges(best: FrozenTrial) -> str:
    """Format the parameters of the winner that lie at an edge of the search space."""
    edges = find_edges(best)
    if not edges:
        return "No parameter of the winner lies at the edge of its space."
    named = ", ".join(f"{name} = {edge}" for name, edge in edges.items())
    return f"At the edge of its space: {named}. A wider space may hold a better value."


def list_best_values(study: optuna.Study) -> list[float]:
    """List the best value so far after each finished trial, in the order they finished."""
    trials = study.get_trials(states=[TrialState.COMPLETE])
    values = [trial.value for trial in sorted(trials, key=_completion)]
    return list(accumulate((value for value in values if value is not None), min))


def _completion(trial: FrozenTrial) -> tuple[Any, int]:
    return trial.datetime_complete, trial.number


@contextmanager
def drawn_study(study: optuna.Study) -> Iterator[dict[str, Figure]]:
    """Draw Optuna's figures of a study, by artifact path, and close them in the end."""
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as draw

    figures = {}
    plots: Sequence[tuple[str, Callable[[optuna.Study], Any], int]] = (
        ("plots/history.png", draw.plot_optimization_history, 1),
        ("plots/param_importances.png", draw.plot_param_importances, 2),
        ("plots/parallel_coordinates.png", draw.plot_parallel_coordinate, 2),
    )
    values = {trial.value for trial in study.get_trials(states=[TrialState.COMPLETE])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # all trials chose the same of several categories
        warnings.filterwarnings("ignore", "Attempting to set identical low and high ylims")
        for path, plot, fewest_values in plots:
            if len(values) >= fewest_values:
                figure = plot(study).figure
                figure.set_size_inches(8, 5)
                figures[path] = figure
    try:
        yield figures
    finally:
        for figure in figures.values():  # pyplot keeps them otherwise
            pyplot.close(figure)
