"""A page that needs no network, for a screen and for paper: its frame, figures and tables."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from slarisk.analysis.drivers import write_p
from slarisk.decisions.costs import dollars
from slarisk.tickets.write import neutralise

_ROWS, _MOST_ROWS = 10, 300  # of a table at first sight, and on the page at all
_LONG = 28  # characters from which on a cell is wrapped


@dataclass(frozen=True)
class Section:
    """A part of the page: its name in the navigation, its title, and its HTML."""

    name: str
    title: str
    content: str


class Page:
    """The parts of a page as they are written, with numbers for what they refer to."""

    def __init__(self) -> None:
        self._count = 0

    def number(self, kind: str) -> str:
        """Name the next figure or table."""
        self._count += 1
        return f"{kind}-{self._count}"

    def figure(self, figure: go.Figure, says: str) -> str:
        """Write a figure; ``says`` is what it shows, for those who do not see it."""
        key = self.number("figure")
        height = int(figure.layout.height)
        content = to_json_plotly(figure.to_plotly_json())
        return (
            f'<div class="figure" data-figure="{key}" role="img" aria-label="{escape(says)}" '
            f'style="min-height:{height}px"></div>'
            f'<script type="application/json" id="{key}">{_guard(content)}</script>'
        )

    def table(
        self, frame: pd.DataFrame, columns: Mapping[str, tuple[str, str]], name: str, caption: str
    ) -> str:
        """Write a table, with all of it as CSV behind a button.

        Parameters
        ----------
        frame : DataFrame
            All of it goes into the CSV.
        columns : mapping of str to (heading, kind)
            What is shown: text, count, rate, points, dollars, cents, hours, number or p. A key
            ``low..high`` shows two columns as one interval.
        name : str
            Of the CSV file.
        caption : str
        """
        key = self.number("table")
        shown = {key: spec for key, spec in columns.items() if set(key.split("..")) <= set(frame)}
        head = "".join(
            f'<th scope="col"{_align(kind)}>{escape(heading)}</th>'
            for heading, kind in shown.values()
        )
        body = []
        for position, row in enumerate(frame.head(_MOST_ROWS).to_dict("records")):
            cells = "".join(_write_cell(row, key, kind) for key, (_, kind) in shown.items())
            body.append(f"<tr{' class=more' * (position >= _ROWS)}>{cells}</tr>")
        more = ""
        if len(frame) > _ROWS:
            text = f"Show all {len(frame):,} rows"
            if len(frame) > _MOST_ROWS:
                text = f"Show {_MOST_ROWS} of {len(frame):,} rows"
            more = (
                f'<button data-rows="{key}" data-text="{text}" aria-expanded="false">{text}'
                "</button>"
            )
        csv = neutralise(frame).to_csv(index=False, lineterminator="\n")
        return (
            f'<div class="scroll"><table id="{key}"><caption>{escape(caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
            f'<div class="tools">{more}<button data-csv="{key}-csv" data-name="{escape(name)}.csv">'
            f'Download as CSV</button></div><script type="application/json" id="{key}-csv">'
            f"{_guard(json.dumps(csv))}</script>"
        )


def write_html(title: str, origin: str, sections: Sequence[Section]) -> str:
    """Write a page with everything in it: data, pictures and the library that draws them."""
    nav = "".join(f'<a href="#{each.name.lower()}">{each.name}</a>' for each in sections)
    body = "".join(
        f'<section id="{each.name.lower()}"><h2>{each.title}</h2>{each.content}</section>'
        for each in sections
    )
    files = resources.files("slarisk.analysis")
    css, script = ((files / name).read_text("utf-8") for name in ("page.css", "page.js"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,">'
        f"<style>{css}</style></head>\n<body>"
        f'<a class="skip" href="#{sections[0].name.lower()}">Skip to the content</a>'
        f"<header><div><h1>{escape(title)}</h1>{origin}</div></header>"
        f'<nav aria-label="Sections"><div>{nav}</div></nav>\n<main>{body}</main>\n'
        f"<script>{get_plotlyjs()}</script>\n<script>{script}</script></body></html>\n"
    )


def write_card(name: str, value: str, more: str, mark: str = "") -> str:
    """Write one figure in large; ``mark`` is good, bad or nothing."""
    return (
        f'<div class="card {mark}"><div class="name">{escape(name)}</div>'
        f'<div class="value">{escape(value)}</div><div class="more">{escape(more)}</div></div>'
    )


def write_note(text: str) -> str:
    """Write a remark."""
    return f'<p class="note">{escape(text)}</p>'


def pair_up(figure: str, table: str, shape: str = "wide") -> str:
    """Put a figure beside a table, where there is room: wide gives the table more of it."""
    return f'<div class="pair {shape}"><div>{figure}</div><div>{table}</div></div>'


def _align(kind: str) -> str:
    return ' class="text"' if kind == "text" else ""


def _write_cell(row: Mapping[Hashable, Any], key: str, kind: str) -> str:
    """Write a cell; a rate says all its digits when pointed at."""
    values = [row[name] for name in key.split("..")]
    title = f' title="{values[0]:.6f}"' if kind == "rate" and len(values) == 1 else ""
    text = " to ".join(_write(value, kind) for value in values)
    if kind == "rate":
        text = text.replace("% to", " to")
    long = kind == "text" and len(text) > _LONG
    return f'<td class="text long">{text}</td>' if long else f"<td{_align(kind)}{title}>{text}</td>"


def _write(value: Any, kind: str) -> str:
    """Write a value."""
    if kind in ("text", "right"):
        return escape(str(value))
    if pd.isna(value):
        return "\u2013"
    match kind:
        case "count":
            return f"{value:,.0f}"
        case "rate":
            return f"{value:.1%}"
        case "rate4":
            return f"{value:.2%}"
        case "points":
            return f"{value:+.1f}"
        case "dollars":
            return dollars(value)
        case "cents":
            return f"{'-' if value < 0 else ''}${abs(value):,.2f}"
        case "hours" | "one":
            return f"{value:,.1f}"
        case "statistic":
            return f"{value:,.4f}" if abs(value) < 1e5 else f"{value:,.0f}"
        case "p":
            return write_p(value)
        case "p5":
            return f"{value:.5g}" if value > 0 else "< 1e-300"
        case _:
            return f"{value:,.2f}"


def _guard(content: str) -> str:
    """Keep JSON from ending the script element it stands in."""
    return content.replace("<", "\\u003c")
