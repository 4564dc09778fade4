"""The figures of a study: one table column, drawn with its intervals."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.estimates import varied_axes
from lab.recipe import PART
from slarisk.atomic_files import write_whole
from slarisk.reports.palette import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, PURPLE, SKY, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lab.estimates import TableRow
    from lab.recipe import FigureSpec

_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, INK)


def write_figure(folder: Path, rows: Sequence[TableRow], spec: FigureSpec) -> None:
    """Write a figure as SVG; the same rows give the same file, byte by byte."""
    import matplotlib

    content = io.BytesIO()
    # text stays text, ids come from the content, and no date or version is written
    style: Any = {"svg.hashsalt": spec.file, "svg.fonttype": "none"}
    nothing = dict.fromkeys(["Creator", "Date", "Format", "Type"])
    with matplotlib.rc_context(style):
        draw_figure(rows, spec).savefig(content, format="svg", metadata=nothing)
    lines = content.getvalue().decode().splitlines()
    text = "\n".join(line.rstrip() for line in lines if "http://matplotlib.org" not in line)
    write_whole(folder / spec.file, f"{text}\n".encode())


def draw_figure(rows: Sequence[TableRow], spec: FigureSpec) -> Figure:
    """Draw a panel for each part: a dot for each row, or a line along ``spec.along``."""
    from matplotlib.figure import Figure

    parts = list(dict.fromkeys(row.labels[PART] for row in rows))
    dots = spec.along is None
    axes = [axis for axis in varied_axes(rows) if axis not in {PART, spec.along}]
    tallest = max(sum(row.labels[PART] == part for row in rows) for part in parts)
    height = 1.1 + 0.28 * tallest if dots else 3.4
    figure = Figure(figsize=(4.2 * len(parts) if len(parts) > 1 else 6.5, height))
    figure.set_layout_engine("constrained")
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for part, panel in zip(parts, panels, strict=True):
        own = [row for row in rows if row.labels[PART] == part]
        panel.set_title(part, fontsize=10)
        panel.tick_params(labelsize=8, color=GREY)
        panel.spines[["top", "right"]].set_visible(False)
        (_draw_dots if dots else _draw_lines)(panel, own, axes, spec)
    return figure


def _draw_dots(
    panel: Axes, rows: Sequence[TableRow], axes: Sequence[str], spec: FigureSpec
) -> None:
    known = [row for row in rows if row.cells[spec.column] is not None]
    mean, low, high = _list_values(known, spec.column)
    heights = np.arange(len(known))
    panel.axvline(0, color=LIGHT, zorder=0)
    panel.hlines(heights, low, high, color=BLUE, linewidth=1.5)
    panel.plot(mean, heights, "o", color=BLUE, markersize=4)
    names = [", ".join(row.labels[axis] for axis in axes) for row in known]
    panel.set_yticks(heights, names)
    panel.invert_yaxis()
    panel.set_xlabel(spec.column, fontsize=8)


def _draw_lines(
    panel: Axes, rows: Sequence[TableRow], axes: Sequence[str], spec: FigureSpec
) -> None:
    assert spec.along is not None
    lines: dict[str, list[TableRow]] = {}
    for row in rows:
        if row.cells[spec.column] is not None:
            lines.setdefault(", ".join(row.labels[axis] for axis in axes), []).append(row)
    for (name, line), colour in zip(lines.items(), itertools.cycle(_COLOURS), strict=False):
        labels = [row.labels[spec.along] for row in line]
        try:
            x = [float(label.replace(",", "")) for label in labels]
        except ValueError:
            x = [float(at) for at in range(len(labels))]
            panel.set_xticks(x, labels)
        mean, low, high = _list_values(line, spec.column)
        panel.plot(x, mean, "o-", color=colour, markersize=3, linewidth=1.3, label=name)
        panel.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    if spec.log:
        panel.set_xscale("log")
    panel.axhline(0, color=LIGHT, zorder=0)
    panel.set_xlabel(spec.along, fontsize=8)
    panel.set_ylabel(spec.column, fontsize=8)
    if len(lines) > 1:
        panel.legend(fontsize=7, frameon=False)


def _list_values(rows: Sequence[TableRow], column: str) -> tuple[list[float], ...]:
    """Return means, lower and upper ends, to the five digits that agree on every processor."""
    cells = [row.cells[column] for row in rows]
    ends = [(cell.mean, cell.low, cell.high) for cell in cells if cell is not None]
    exact = [[float(f"{each:.5g}") for each in values] for values in ends]
    return tuple(map(list, zip(*exact, strict=True))) if exact else ([], [], [])
