"""What a study found, as files: ``results.csv``, the tables of its README, its figures.

Tables and figures are made from ``results.csv`` alone. It has no time, id or version in it, so that
the same runs give the same files to the last byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.decisions.costs import dollars
from slarisk.errors import InputError
from slarisk.evaluation.replicates import mean_interval
from slarisk.jobs.recipe import DRAW, PART, Column, Recipe, StudyJob, Table
from slarisk.jobs.sharing import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RESULTS, PAGE = "results.csv", "README.md"
BEGIN, END = "<!-- results: written by experiments/run.py -->", "<!-- end of results -->"
BASELINES = {"never": "never", "always": "always", "priority": "by priority", "segment": "segments"}
# What results.csv tells of each run, with as many digits as are the same on every processor.
DIGITS = {
    "train_tickets": 0,
    "test_tickets": 0,
    "breach_rate": 4,
    "objective": 2,
    "expected_loss": 2,
    "expected_loss_low": 0,
    "expected_loss_high": 0,
    **{f"baseline_{name}_loss": 2 for name in BASELINES},
    "best_baseline_loss": 2,
    "value_over_baseline": 2,
    "value_over_baseline_low": 0,
    "value_over_baseline_high": 0,
    "escalation_rate": 3,
    "missed_breaches": 0,
    "false_alarms": 0,
    "roc_auc": 3,
    "pr_auc": 3,
    "brier": 4,
    "log_loss": 3,
    "calibration_error": 3,
    "optimal_threshold": 3,
    "decision_threshold": 3,
    "regret": 3,
}


# results.csv --------------------------------------------------------------------------------------


def tabulate_runs(jobs: Sequence[StudyJob], metrics: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    """Write the runs of jobs as rows of text: their labels, and their metrics rounded."""
    rows = [
        job.labels | {name: _write(found.get(name), digits) for name, digits in DIGITS.items()}
        for job, found in zip(jobs, metrics, strict=True)
    ]
    return _in_order(pd.DataFrame(rows))


def _write(value: float | None, digits: int) -> str:
    """Write a number without the zeros at its end, and without the sign of -0.0."""
    if value is None or not np.isfinite(value):
        return ""
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.rstrip("0").rstrip(".") if digits else text


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Put the labels first, the draw last among them, then the metrics."""
    axes = [name for name in rows if name not in {PART, DRAW, *DIGITS}]
    return rows[[PART, *axes, DRAW, *DIGITS]].fillna("")


def read_results(folder: Path) -> pd.DataFrame:
    """Read the results of a study, as text; none if it has not been run."""
    path = folder / RESULTS
    if not path.exists():
        return pd.DataFrame(columns=[PART, DRAW, *DIGITS])
    return pd.read_csv(path, dtype="str", keep_default_na=False)


def keep_results(folder: Path, jobs: Sequence[StudyJob]) -> pd.DataFrame:
    """Keep, of the results that are there, those of jobs that the recipe still has."""
    rows = read_results(folder)
    wanted = {tuple(sorted(job.labels.items())) for job in jobs}
    labels = rows[[name for name in rows if name not in DIGITS]].to_dict("records")
    held = [tuple(sorted((k, v) for k, v in each.items() if v)) in wanted for each in labels]
    return rows[held]


def join_results(jobs: Sequence[StudyJob], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join results of several runs of a study, in the order of the jobs."""
    rows = _in_order(pd.concat(tables))
    axes = [str(name) for name in rows if name not in DIGITS]
    place = {tuple(job.labels.get(axis, "") for axis in axes): at for at, job in enumerate(jobs)}
    at = [place[labels] for labels in rows[axes].itertuples(index=False, name=None)]
    return rows.iloc[np.argsort(at)]


# Tables -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A mean over draws and its interval; the ends are nan where there is one draw alone."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A row of a table: its labels by axis, and its estimates by column title."""

    labels: dict[str, str]
    cells: dict[str, Estimate | None]


def make_rows(results: pd.DataFrame, recipe: Recipe, table: Table) -> list[Row]:
    """Take the means of a table's columns over the draws of each combination of labels.

    A difference may be to a row that the table leaves out.
    """
    for axis in table.where:
        if axis not in results:
            raise InputError(f"study.yaml: tables.where: there is no axis {axis}.")
    runs = results.assign(
        **{name: pd.to_numeric(results[name], errors="coerce") for name in DIGITS}
    )
    axes = [str(name) for name in runs if name not in {DRAW, *DIGITS}]
    if table.baselines is not None:
        runs = pd.concat([_add_baselines(runs, axes, table.baselines), runs])
    by_labels: dict[tuple[str, ...], pd.DataFrame] = {
        tuple(map(str, labels)): group.set_index(DRAW)
        for labels, group in runs.groupby(axes, sort=False)
    }
    order = list(recipe.parts)
    rows = []
    for labels in sorted(by_labels, key=lambda each: order.index(each[axes.index(PART)])):
        own = dict(zip(axes, labels, strict=True))
        if any(own[axis] not in kept for axis, kept in table.where.items()):
            continue
        cells = {
            title: estimate(by_labels, own, column, recipe.parts[own[PART]].over)
            for title, column in table.columns.items()
        }
        rows.append(Row(own, cells))
    return rows


def _add_baselines(runs: pd.DataFrame, axes: Sequence[str], axis: str) -> pd.DataFrame:
    """Make runs of the trivial rules, which every run carries, under labels of an axis."""
    others = [name for name in axes if name != axis]
    once = runs.drop_duplicates([*others, DRAW])
    same = [*others, DRAW, "train_tickets", "test_tickets", "breach_rate", "best_baseline_loss"]
    made = []
    for name, words in BASELINES.items():
        loss = once[f"baseline_{name}_loss"]
        value = once["best_baseline_loss"] - loss
        rule = once[same].assign(expected_loss=loss, value_over_baseline=value)
        rule[axis] = words
        made.append(rule)
    return pd.concat(made)


def estimate(
    runs: Mapping[tuple[str, ...], pd.DataFrame],
    labels: Mapping[str, str],
    column: Column,
    over: str,
) -> Estimate | None:
    """Take the mean of a column, with its interval; None where the runs do not have it."""
    own = runs[tuple(labels.values())]
    values = _measure(own, column)
    if column.against:
        other = runs.get(tuple((dict(labels) | column.against).values()))
        if other is None or other is own:
            return None
        values = values - _measure(other, column)
    values = values.dropna()
    if values.empty:
        return None
    ends = [f"{column.metric}_{end}" for end in ("low", "high")]
    if len(values) == 1 and not column.against and set(ends) <= {*own}:
        low, high = (float(_measure(own, column, end).iloc[0]) for end in ends)
        return Estimate(float(values.iloc[0]), low, high)
    # splits of the same tickets overlap, other draws share no test tickets
    overlap = float((own["test_tickets"] / own["train_tickets"]).mean()) if over == "splits" else 0
    return Estimate(*mean_interval(np.asarray(values, dtype=np.float64), overlap))


def _measure(runs: pd.DataFrame, column: Column, name: str | None = None) -> pd.Series[float]:
    values = runs[name or column.metric]
    return 1000 * values / runs["test_tickets"] if column.unit == "per_1000" else values


def write_table(rows: Sequence[Row], table: Table) -> str:
    """Write a table as Markdown."""
    axes = varied_axes(rows)
    heads = [*axes, *table.columns]
    lines = [f"**{table.title}**", ""] if table.title else []
    lines += [f"| {' | '.join(heads)} |"]
    lines += ["|" + "---|" * len(axes) + "---:|" * len(table.columns)]
    for row in rows:
        cells = [row.labels[axis] for axis in axes]
        cells += [say(row.cells[title], column) for title, column in table.columns.items()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def varied_axes(rows: Sequence[Row]) -> list[str]:
    """Name the axes in which rows differ; the data always."""
    axes = list(rows[0].labels) if rows else []
    return [axis for axis in axes if axis == PART or len({row.labels[axis] for row in rows}) > 1]


def say(cell: Estimate | None, column: Column) -> str:
    """Write an estimate with its interval.

    Examples
    --------
    >>> say(Estimate(12.6, -3.2, 28.4), Column("expected_loss"))
    '$13 [-$3 to $28]'
    >>> say(Estimate(0.8123, 0.8, 0.83), Column("roc_auc", "number", digits=2))
    '0.81 [0.80 to 0.83]'
    """
    if cell is None:
        return ""
    mean, low, high = (_say(each, column) for each in (cell.mean, cell.low, cell.high))
    return mean if np.isnan(cell.low) or not column.interval else f"{mean} [{low} to {high}]"


def _say(value: float, column: Column) -> str:
    if np.isnan(value):
        return ""
    if column.unit in {"per_1000", "dollars"}:
        return dollars(value)
    if column.unit == "percent":
        return f"{value:.{max(column.digits - 2, 0)}%}"
    return f"{round(value, column.digits) + 0.0:,.{column.digits}f}"


# The study's folder -------------------------------------------------------------------------------


def write_answers(folder: Path, recipe: Recipe, results: pd.DataFrame) -> None:
    """Write results, tables and figures into a study's folder; nothing else in it is touched."""
    from slarisk.jobs.pictures import write_picture

    write_whole(folder / RESULTS, results.to_csv(index=False, lineterminator="\n").encode())
    page = folder / PAGE
    write_whole(page, fill_page(page, write_tables(results, recipe)).encode())
    for table in recipe.tables:
        if table.figure is not None:
            write_picture(folder, make_rows(results, recipe, table), table)


def write_tables(results: pd.DataFrame, recipe: Recipe) -> str:
    """Write all tables of a study, each with its figure."""
    parts = []
    for table in recipe.tables:
        parts.append(write_table(make_rows(results, recipe, table), table))
        if table.figure is not None:
            parts.append(f"![{table.figure.column}]({table.figure.file})")
    return "\n\n".join(parts)


def fill_page(page: Path, tables: str) -> str:
    """Put tables between the marks of a README.

    Raises
    ------
    InputError
        It has not both marks.
    """
    text = page.read_text("utf-8") if page.exists() else ""
    if not re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", text, flags=re.DOTALL):
        raise InputError(f"{page}: needs two lines, {BEGIN} and {END}, between which tables go.")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"
