"""The Jinja2 environment of the templates, and the tables of the page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import pandas as pd
from plotly.io.json import to_json_plotly

from slarisk.analysis.fields import label_field
from slarisk.exports.spreadsheets import neutralise
from slarisk.reports.formats import FORMATS, format_count, format_value

FEW_ROWS, MOST_ROWS = 10, 300  # shown at first, and in the page at all
_LONG = 28  # cells with more characters are wrapped

Column = tuple[str, str, str]  # key, heading, kind


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, its CSS classes, and the exact value of a rounded rate."""

    text: str
    classes: str = ""
    exact: str = ""


@dataclass(frozen=True)
class PageTable:
    """A table formatted for the page, and all of it as CSV.

    Attributes
    ----------
    headings : list of Cell
    rows : list of list of Cell
        At most `MOST_ROWS`.
    total : int
        Rows of the CSV.
    csv : str
    """

    headings: list[Cell]
    rows: list[list[Cell]]
    total: int
    csv: str


def format_table(frame: pd.DataFrame, columns: Sequence[Column]) -> PageTable:
    """Format a table for the page.

    Parameters
    ----------
    frame : DataFrame
        The CSV has all of it; text that a spreadsheet would run as a formula is neutralised.
    columns : sequence of (key, heading, kind)
        The columns shown; kinds are the keys of `FORMATS`. A key ``low..high`` shows two columns as
        one interval. Columns that are missing in the frame, or empty, are left out.
    """
    present = {*frame.columns[frame.notna().any()]} if len(frame) else {*frame}
    shown = [column for column in columns if present.issuperset(column[0].split(".."))]
    return PageTable(
        headings=[Cell(heading, _align(kind)) for _, heading, kind in shown],
        rows=[
            [_format_cell([row[name] for name in key.split("..")], kind) for key, _, kind in shown]
            for row in frame.head(MOST_ROWS).to_dict("records")
        ],
        total=len(frame),
        csv=neutralise(frame).to_csv(index=False, lineterminator="\n"),
    )


def _align(kind: str) -> str:
    return "text" if kind == "text" else ""


def _format_cell(values: list[Any], kind: str) -> Cell:
    text = " to ".join(format_value(value, kind) for value in values)
    if kind == "rate":
        text = text.replace("% to", " to")
    exact = f"{values[0]:.6f}" if kind == "rate" and len(values) == 1 else ""
    long = " long" if kind == "text" and len(text) > _LONG else ""
    return Cell(text, _align(kind) + long, exact)


def render(template: str, **data: Any) -> str:
    """Render a template of this package, escaping all data.

    Raises
    ------
    jinja2.UndefinedError
        The template uses a name that ``data`` lacks.
    """
    next_id = itertools.count(1).__next__
    return _make_environment().get_template(template).render(data, next_id=next_id)


@cache
def _make_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slarisk.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FORMATS
    environment.filters |= {
        "format_table": format_table,
        "label_field": label_field,
        "number": format_count,
    }
    environment.globals |= {"few_rows": FEW_ROWS, "most_rows": MOST_ROWS}
    # Plotly's encoder handles arrays; `tojson` then escapes what could end a script element
    environment.policies["json.dumps_function"] = to_json_plotly
    environment.policies["json.dumps_kwargs"] = {}
    return environment
