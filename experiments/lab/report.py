"""The files that a study writes: its results, the tables in its README, its figures.

Tables and figures are made from the results alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from lab.estimates import Estimate, make_rows, varied_axes
from lab.figures import write_figure
from lab.recipe import ColumnSpec, Recipe, TableSpec
from lab.results import RESULTS
from slarisk.atomic_files import write_whole
from slarisk.decisions.costs import dollars
from slarisk.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

    from lab.estimates import TableRow

README = "README.md"
BEGIN, END = "<!-- results: written by experiments/run.py -->", "<!-- end of results -->"


def write_study_report(folder: Path, recipe: Recipe, results: pd.DataFrame) -> None:
    """Write results, tables and figures into a study's folder.

    Raises
    ------
    InputError
        The README does not have the two marks between which tables go.
    """
    write_whole(folder / RESULTS, results.to_csv(index=False, lineterminator="\n").encode())
    page = folder / README
    write_whole(page, fill_readme(page, format_tables(results, recipe)).encode())
    for table in recipe.tables:
        if table.figure is not None:
            write_figure(folder, make_rows(results, recipe, table), table.figure)


def fill_readme(page: Path, tables: str) -> str:
    """Return the text of a README with these tables between its two marks.

    Raises
    ------
    InputError
        The README does not have both marks.
    """
    text = page.read_text("utf-8") if page.exists() else ""
    if not re.search(f"{re.escape(BEGIN)}.*{re.escape(END)}", text, flags=re.DOTALL):
        raise InputError(f"{page}: needs two lines, {BEGIN} and {END}, between which tables go.")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def format_tables(results: pd.DataFrame, recipe: Recipe) -> str:
    """Format all tables of a study as Markdown, each followed by its figure."""
    parts = []
    for table in recipe.tables:
        parts.append(format_table(make_rows(results, recipe, table), table))
        if table.figure is not None:
            parts.append(f"![{table.figure.column}]({table.figure.file})")
    return "\n\n".join(parts)


def format_table(rows: Sequence[TableRow], table: TableSpec) -> str:
    """Format a table as Markdown."""
    axes = varied_axes(rows)
    lines = [f"**{table.title}**", ""] if table.title else []
    lines += [f"| {' | '.join([*axes, *table.columns])} |"]
    lines += ["|" + "---|" * len(axes) + "---:|" * len(table.columns)]
    for row in rows:
        cells = [row.labels[axis] for axis in axes]
        cells += [format_estimate(row.cells[title], spec) for title, spec in table.columns.items()]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def format_estimate(cell: Estimate | None, column: ColumnSpec) -> str:
    """Format an estimate with its interval.

    Examples
    --------
    >>> format_estimate(Estimate(12.6, -3.2, 28.4), ColumnSpec("expected_loss"))
    '$13 [-$3 to $28]'
    >>> format_estimate(Estimate(0.8123, 0.8, 0.83), ColumnSpec("roc_auc", "number", digits=2))
    '0.81 [0.80 to 0.83]'
    """
    if cell is None:
        return ""
    mean, low, high = (_format_value(each, column) for each in (cell.mean, cell.low, cell.high))
    return mean if np.isnan(cell.low) or not column.interval else f"{mean} [{low} to {high}]"


def _format_value(value: float, column: ColumnSpec) -> str:
    if np.isnan(value):
        return ""
    if column.unit in {"per_1000", "dollars"}:
        return dollars(value)
    if column.unit == "percent":
        return f"{value:.{max(column.digits - 2, 0)}%}"
    return f"{round(value, column.digits) + 0.0:,.{column.digits}f}"
