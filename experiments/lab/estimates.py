"""The rows of a study's tables: means over the draws, with confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lab.recipe import DRAW, PART, ColumnSpec, Recipe, TableSpec
from lab.results import DIGITS
from slarisk.errors import InputError
from slarisk.stats.replicates import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Runs = Mapping[tuple[str, ...], pd.DataFrame]  # by their labels except the draw

# The trivial rules whose losses every run carries, by the labels of their rows.
_BASELINES = {
    "never": "baseline_never_loss",
    "always": "baseline_always_loss",
    "by priority": "baseline_priority_loss",
    "segments": "baseline_segment_loss",
    "timer at 50%": "baseline_timer_50_loss",
    "timer at 75%": "baseline_timer_75_loss",
    "learnt timer": "baseline_timer_loss",
}


@dataclass(frozen=True)
class Estimate:
    """A mean over draws and the ends of its interval, which are nan for a single draw."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class TableRow:
    """A row of a table: its labels by axis, and its estimates by column title."""

    labels: dict[str, str]
    cells: dict[str, Estimate | None]


def make_rows(results: pd.DataFrame, recipe: Recipe, table: TableSpec) -> list[TableRow]:
    """Estimate the columns of a table for each combination of labels.

    Raises
    ------
    InputError
        The table selects labels of an axis that the study does not have.
    """
    for axis in table.where:
        if axis not in results:
            raise InputError(f"study.yaml: tables.where: there is no axis {axis}.")
    runs = results.assign(
        **{name: pd.to_numeric(results[name], errors="coerce") for name in DIGITS}
    )
    axes = [str(name) for name in runs if name not in {DRAW, *DIGITS}]
    if table.baselines is not None:
        runs = pd.concat([_make_baseline_runs(runs, axes, table.baselines), runs])
    by_labels: dict[tuple[str, ...], pd.DataFrame] = {
        tuple(map(str, labels)): group.set_index(DRAW)
        for labels, group in runs.groupby(axes, sort=False)
    }
    order = list(recipe.parts)
    rows = []
    for key in sorted(by_labels, key=lambda each: order.index(each[axes.index(PART)])):
        labels = dict(zip(axes, key, strict=True))
        # only here: a column may be a difference to a row that the table leaves out
        if any(labels[axis] not in shown for axis, shown in table.where.items()):
            continue
        cells = {
            title: estimate(by_labels, labels, column, recipe.parts[labels[PART]].over)
            for title, column in table.columns.items()
        }
        rows.append(TableRow(labels, cells))
    return rows


def _make_baseline_runs(runs: pd.DataFrame, axes: Sequence[str], axis: str) -> pd.DataFrame:
    """Make a run for each trivial rule and draw, with the rule as its label of an axis."""
    others = [name for name in axes if name != axis]
    once = runs.drop_duplicates([*others, DRAW])
    same = [*others, DRAW, "train_tickets", "test_tickets", "breach_rate", "best_baseline_loss"]
    made = []
    for label, metric in _BASELINES.items():
        loss = once[metric]
        if loss.isna().all():
            continue
        value = once["best_baseline_loss"] - loss
        rule = once[same].assign(expected_loss=loss, value_over_baseline=value)
        rule[axis] = label
        made.append(rule)
    return pd.concat(made)


def estimate(
    runs: Runs, labels: Mapping[str, str], column: ColumnSpec, over: str
) -> Estimate | None:
    """Estimate a column for the runs with these labels; None where they do not have its metric.

    A single run has the interval over its test tickets if its metric has one.
    """
    own = runs[tuple(labels.values())]
    values = _read_metric(own, column, column.metric)
    if column.against:
        other = runs.get(tuple((dict(labels) | column.against).values()))
        if other is None or other is own:
            return None
        values = values - _read_metric(other, column, column.metric)
    values = values.dropna()
    if values.empty:
        return None
    ends = [f"{column.metric}_{end}" for end in ("low", "high")]
    if len(values) == 1 and not column.against and set(ends) <= {*own}:
        low, high = (float(_read_metric(own, column, end).iloc[0]) for end in ends)
        return Estimate(float(values.iloc[0]), low, high)
    # Repeated splits of the same tickets are dependent; other draws share no test tickets.
    overlap = float((own["test_tickets"] / own["train_tickets"]).mean()) if over == "splits" else 0
    return Estimate(*mean_interval(np.asarray(values, dtype=np.float64), overlap))


def _read_metric(runs: pd.DataFrame, column: ColumnSpec, metric: str) -> pd.Series[float]:
    values = runs[metric]
    return 1000 * values / runs["test_tickets"] if column.unit == "per_1000" else values


def varied_axes(rows: Sequence[TableRow]) -> list[str]:
    """Name the axes in which rows differ, and always the part."""
    axes = list(rows[0].labels) if rows else []
    return [axis for axis in axes if axis == PART or len({row.labels[axis] for row in rows}) > 1]
