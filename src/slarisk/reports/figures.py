"""The Plotly figures of the report, each with a text alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
from plotly.subplots import make_subplots

from slarisk.analysis.breakdowns import Breakdown
from slarisk.analysis.changes import Changes
from slarisk.analysis.drivers import Driver, DriverVerdict
from slarisk.analysis.escalation import (
    BY_CHANCE,
    BY_PRIORITY,
    BY_PROBABILITY,
    BY_SAVING,
    BY_TIMER,
    Escalation,
)
from slarisk.analysis.fields import CALENDAR, label_field
from slarisk.analysis.groups import Groups
from slarisk.analysis.interventions import Ranked
from slarisk.analysis.trend import HoursHistogram, Trend
from slarisk.decisions.costs import dollars
from slarisk.reports.formats import format_interval
from slarisk.reports.palette import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, PURPLE, VERMILION

MOST_BARS = 15
RANKING_WORDS = {
    BY_SAVING: "model: by expected saving",
    BY_PROBABILITY: "model: by probability",
    BY_PRIORITY: "by priority",
    BY_CHANCE: "at random",
    BY_TIMER: "learnt timer",
}
_PALE = "#9DB7C9"
_LINES = {
    BY_SAVING: (BLUE, "solid"),
    BY_PROBABILITY: (ORANGE, "dash"),
    BY_PRIORITY: (GREEN, "dashdot"),
    BY_CHANCE: (GREY, "dot"),
    BY_TIMER: (VERMILION, "dashdot"),
}
_VERDICT_COLOURS = {
    DriverVerdict.matters: BLUE,
    DriverVerdict.by_priority: ORANGE,
    DriverVerdict.weak: _PALE,
    DriverVerdict.no_evidence: LIGHT,
}
# kinds of axes
_SHARES = {"tickformat": ".0%", "rangemode": "tozero"}
_NAMES = {"type": "category", "showgrid": False}


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure and its text alternative, for screen readers."""

    plot: go.Figure
    text: str


@cache
def register_template() -> str:
    """Register the template of all figures with Plotly, and return its name."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    axis = {
        "showgrid": True,
        "gridcolor": LIGHT,
        "zeroline": True,
        "zerolinecolor": "#C8C8C8",
        "showline": True,
        "linecolor": "#B5B5B5",
        "automargin": True,
        "fixedrange": True,  # scrolling the page must not zoom into a figure
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    interval = {"color": INK, "thickness": 1.2, "width": 3}
    plotly.io.templates["slarisk"] = go.layout.Template(
        layout={
            "font": {"family": font, "size": 13, "color": INK},
            "margin": {"l": 8, "r": 16, "t": 34, "b": 44},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "showlegend": False,
            "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
            "hoverlabel": {"font": {"family": font}},
            "shapedefaults": {"line": {"color": VERMILION, "dash": "dash", "width": 1.5}},
            "xaxis": axis,
            "yaxis": axis,
        },
        data={"bar": [go.Bar(marker_color=BLUE, error_x=interval, error_y=interval)]},
    )
    return "slarisk"


def draw_rates(breakdown: Breakdown, fewest: int, average: float) -> Figure:
    """Draw the breach rates of one field with their intervals, and the average as a line."""
    name = breakdown.fields[0]
    table = breakdown.at_least(fewest)
    top = table.iloc[int(table["breach_rate"].argmax())]
    upright = name in CALENDAR
    if not upright:
        table = table.head(MOST_BARS).iloc[::-1]
    labels = [label(text) for text in table[name]]
    rates = table["breach_rate"].to_numpy()
    category, value = ("x", "y") if upright else ("y", "x")
    interval = _error_bars(rates, table["rate_low"], table["rate_high"])
    plot = _start(300 if upright else 90 + 26 * len(table))
    plot.add_bar(
        **{category: labels, value: rates, f"error_{value}": interval},
        orientation="v" if upright else "h",
        customdata=np.column_stack([table["tickets"], table["total_cost"]]),
        hovertemplate=f"<b>%{{{category}}}</b>: %{{{value}:.1%}} breached<br>"
        "%{customdata[0]:,} tickets, $%{customdata[1]:,.0f} lost<extra></extra>",
    )
    (plot.add_hline if upright else plot.add_vline)(average)
    axis = {**_SHARES, "title_text": "Breach rate"}
    plot.update_layout({f"{value}axis": axis, f"{category}axis": _NAMES})
    rate = format_interval(top["breach_rate"], top["rate_low"], top["rate_high"])
    return Figure(
        plot, f"Breach rates by {label_field(name).lower()}; the highest is {rate} for {top[name]}."
    )


def draw_heat(breakdown: Breakdown, fewest: int, order: Mapping[str, Sequence[str]]) -> Figure:
    """Draw the breach rate by two fields as colour, with the dollars lost as text.

    Parameters
    ----------
    breakdown : Breakdown
        By two fields.
    fewest : int
        Combinations with fewer tickets are left out.
    order : mapping of str to sequence of str
        The levels of each ordered field.
    """
    down, across = breakdown.fields
    table = breakdown.at_least(fewest)
    if table[across].nunique() > table[down].nunique():
        down, across = across, down
    rows = _take_levels(table, down, order, 12)[::-1]
    columns = _take_levels(table, across, order, 8)
    rates, costs, tickets = (
        table.pivot_table(index=down, columns=across, values=values)
        .reindex(index=rows, columns=columns)
        .to_numpy()
        for values in ("breach_rate", "total_cost", "tickets")
    )
    plot = _start(110 + 34 * len(rows))
    plot.add_heatmap(
        x=[label(level, 20) for level in columns],
        y=[label(level) for level in rows],
        z=rates,
        customdata=tickets,
        text=[["" if np.isnan(cost) else _short_dollars(cost) for cost in row] for row in costs],
        texttemplate="%{text}",
        colorscale="Cividis",
        reversescale=True,
        zmin=0,
        xgap=2,
        ygap=2,
        colorbar={"tickformat": ".0%", "thickness": 12},
        hovertemplate="<b>%{y}, %{x}</b>: %{z:.1%} of %{customdata:,} tickets breached, "
        "%{text} lost<extra></extra>",
    )
    plot.update_layout(xaxis={**_NAMES, "side": "top"}, yaxis=_NAMES)
    return Figure(plot, f"Breach rate (colour) and dollars lost (text) by {breakdown.title}.")


def _take_levels(
    table: pd.DataFrame, name: str, order: Mapping[str, Sequence[str]], most: int
) -> list[str]:
    """Choose the levels that cost most, in the order of the field or the costliest first."""
    cost = table.groupby(name)["total_cost"].sum().sort_values(ascending=False, kind="stable")
    kept = [str(level) for level in cost.index[:most]]
    return [level for level in order[name] if level in kept] if name in order else kept


def draw_hours(hours: Sequence[HoursHistogram]) -> Figure:
    """Draw the distribution of resolution hours of each priority, split at the target."""
    medians = "; ".join(f"{each.name}: median {each.median:,.1f}" for each in hours)
    hours = hours[:8]
    titles = [
        f"<b>{label(each.name)}</b>: median {each.median:,.1f} h"
        + ("" if np.isnan(each.target) else f", target {each.target:g} h")
        for each in hours
    ]
    space = min(0.08, 0.4 / len(hours))  # for the titles
    plot = make_subplots(
        rows=len(hours), cols=1, shared_xaxes=True, vertical_spacing=space, subplot_titles=titles
    )
    _start(90 + 120 * len(hours), plot)
    plot.update_annotations(x=0, xanchor="left", font_size=13)
    for row, each in enumerate(hours, start=1):
        middle = np.sqrt(each.edges[:-1] * each.edges[1:])
        parts = {"within target": (each.counts - each.late, BLUE), "beyond": (each.late, VERMILION)}
        for name, (part, colour) in parts.items():
            plot.add_bar(
                x=np.log10(middle),
                y=part / each.counts.sum(),
                marker_color=colour,
                name=name,
                legendgroup=name,
                showlegend=row == 1,
                meta=label(each.name),
                customdata=np.column_stack([each.edges[:-1], each.edges[1:]]),
                hovertemplate="%{meta}: %{y:.1%} take %{customdata[0]:,.1f} to "
                "%{customdata[1]:,.1f} h<extra></extra>",
                row=row,
                col=1,
            )
        if each.target > 0:  # due when it was created: beyond every logarithm
            plot.add_vline(float(np.log10(each.target)), line_color=INK, row=row, col=1)
    plot.update_layout(bargap=0.06, barmode="stack", showlegend=True, legend_y=1.04, margin_t=60)
    plot.update_yaxes(showticklabels=False, showgrid=False)
    low, high = hours[0].edges[0], hours[0].edges[-1]
    exponents = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    marks = [m * 10.0**e for e in exponents for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    plot.update_xaxes(tickvals=np.log10(marks), ticktext=[f"{mark:g}" for mark in marks])
    plot.update_xaxes(title_text="Hours to resolution (logarithmic)", row=len(hours), col=1)
    return Figure(plot, f"Histograms of resolution hours: {medians}")


def draw_trend(trend: Trend, average: float) -> Figure:
    """Draw the breach rate over time with its interval, and below it the number of tickets."""
    table = trend.table
    plot = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06
    )
    _start(400, plot)
    start = table["start"].dt.strftime("%Y-%m-%dT%H:%M:%S").to_list()
    plot.add_scatter(
        x=[*start, *start[::-1]],
        y=[*table["rate_high"], *table["rate_low"][::-1]],
        fill="toself",
        fillcolor="rgba(0,114,178,0.16)",
        line={"width": 0},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    plot.add_scatter(
        x=start,
        y=table["breach_rate"],
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={
            "size": np.where(table["settled"], 5, 8),
            "color": BLUE,
            "symbol": np.where(table["settled"], "circle", "circle-open"),
        },
        customdata=table["still_open"],
        hovertemplate="%{x}: %{y:.1%} breached, %{customdata:,} still open<extra></extra>",
        row=1,
        col=1,
    )
    plot.add_hline(average, row=1, col=1)
    plot.add_bar(
        x=start,
        y=table["tickets"],
        marker_color=_PALE,
        hovertemplate="%{x}: %{y:,} tickets<extra></extra>",
        row=2,
        col=1,
    )
    plot.update_yaxes(**_SHARES, title_text="Breach rate", row=1, col=1)
    plot.update_yaxes(title_text="Tickets", row=2, col=1)
    plot.update_xaxes(showgrid=False)
    if trend.settled.empty:
        return Figure(plot, f"Breach rate by {trend.unit}, too early to tell.")
    first, last = trend.settled["breach_rate"].iloc[[0, -1]]
    text = f"Breach rate from {first:.1%} in the first {trend.unit} to {last:.1%} in the last"
    early = "" if table["settled"].all() else "; hollow points are too early to tell"
    return Figure(plot, f"{text}{early}.")


def draw_drivers(drivers: Sequence[Driver]) -> Figure:
    """Draw the effect size of each candidate, in the colour of its verdict."""
    plot = _start(110 + 24 * len(drivers), showlegend=True, barmode="overlay")
    for verdict, colour in _VERDICT_COLOURS.items():
        chosen = [driver for driver in drivers if driver.verdict is verdict]
        if not chosen:
            continue
        plot.add_bar(
            y=[label(label_field(driver.name)) for driver in chosen],
            x=[abs(driver.effect) for driver in chosen],
            orientation="h",
            name=verdict.value,
            marker={"color": colour, "line": {"color": GREY, "width": 0.6}},
            customdata=[driver.measure for driver in chosen],
            hovertemplate="<b>%{y}</b>: %{customdata} %{x:.2f}<extra></extra>",
        )
    order = [label(label_field(driver.name)) for driver in drivers][::-1]
    plot.update_yaxes(showgrid=False, categoryorder="array", categoryarray=order)
    plot.update_xaxes(title_text="Size of the effect: 0 none, 1 complete", rangemode="tozero")
    sizes = "; ".join(f"{label_field(each.name)} {abs(each.effect):.2f}" for each in drivers)
    return Figure(plot, f"Effect sizes: {sizes}")


def draw_groups(groups: Groups) -> Figure:
    """Draw the share of the tickets and the share of the cost of each group."""
    table = groups.table.iloc[::-1]
    plot = _start(110 + 44 * len(table), showlegend=True, barmode="group", bargap=0.25)
    for column, of, colour in (
        ("cost_share", "of the cost", VERMILION),
        ("share", "of the tickets", _PALE),
    ):
        plot.add_bar(
            y=[f"Group {i + 1}" for i in table.index],
            x=table[column],
            orientation="h",
            name=f"share {of}",
            marker_color=colour,
            customdata=[label(text, 90) for text in table["group"]],
            hovertemplate=f"<b>%{{customdata}}</b><br>%{{x:.1%}} {of}<extra></extra>",
        )
    plot.update_layout(legend_traceorder="reversed", xaxis=_SHARES, yaxis_showgrid=False)
    shares = "; ".join(
        f"group {i + 1}: {cost:.0%} of the cost, {tickets:.0%} of the tickets"
        for i, cost, tickets in groups.table[["cost_share", "share"]].itertuples()
    )
    return Figure(plot, f"Share of cost and of tickets: {shares}")


def draw_measures(ranked: Ranked) -> Figure:
    """Draw the dollars saved per point of effort of the best measures, with their intervals."""
    table = ranked.table.head(MOST_BARS).iloc[::-1]
    effort = table["effort"]
    saved, low, high = (table[name] / effort for name in ("saved", "saved_low", "saved_high"))
    plot = _start(90 + 26 * len(table))
    plot.add_bar(
        y=[label(text) for text in table["segment"]],
        x=table["per_point"],
        orientation="h",
        error_x=_error_bars(saved, low, high),
        customdata=np.column_stack([table["saved"], effort]),
        hovertemplate="<b>%{y}</b>: $%{x:,.0f} a point<br>$%{customdata[0]:,.0f} for "
        "%{customdata[1]:.1f} points<extra></extra>",
    )
    plot.update_xaxes(tickprefix="$", title_text="Saved per point of effort", rangemode="tozero")
    plot.update_layout(yaxis=_NAMES)
    top = ranked.table.head(5)
    best = "; ".join(
        f"{segment} {dollars(saved)}"
        for segment, saved in zip(top["segment"], top["per_point"], strict=True)
    )
    return Figure(plot, f"Dollars saved per point of effort: {best}")


def draw_capacity(escalation: Escalation) -> Figure:
    """Draw the net dollars that each capacity averts, by ranking."""
    plot = _start(360, showlegend=True)
    for name in RANKING_WORDS:
        table = escalation.table[escalation.table["ranking"] == name]
        plot.add_scatter(
            **_line(name, "lines+markers"),
            x=table["per_day"].map(format_capacity),
            y=table["net"],
            marker_size=7,
            customdata=np.column_stack([table["averted_share"], table["spent"]]),
            hovertemplate=f"%{{x}} a day, {name}: $%{{y:,.0f}} net<br>%{{customdata[0]:.0%}} of "
            "the loss averted for $%{customdata[1]:,.0f}<extra></extra>",
        )
    plot.add_hline(0, line={"color": GREY, "width": 1, "dash": "solid"})
    plot.update_yaxes(tickprefix="$", title_text="Averted, less the escalations")
    plot.update_xaxes(title_text="Escalations a day", type="category")
    return Figure(plot, "Net dollars averted by capacity, for each ranking.")


def draw_capture(escalation: Escalation) -> Figure:
    """Draw the share of the loss among the tickets of the highest ranks."""
    plot = _start(360, showlegend=True)
    for name, (tickets, captured) in escalation.curves.items():
        plot.add_scatter(
            **_line(name, "lines"),
            x=tickets.round(4),
            y=captured.round(4),
            hovertemplate="the first %{x:.0%} of tickets hold %{y:.0%} of the loss<extra></extra>",
        )
    plot.update_xaxes(tickformat=".0%", title_text="Tickets, highest rank first", range=[0, 1])
    plot.update_yaxes(tickformat=".0%", title_text="Share of the loss", range=[0, 1.02])
    return Figure(plot, "Share of the loss among the tickets that rank highest.")


def _line(ranking: str, mode: str) -> dict[str, Any]:
    colour, dash = _LINES[ranking]
    line = {"color": colour, "dash": dash, "width": 2.5}
    return {"name": RANKING_WORDS[ranking], "mode": mode, "line": line}


def draw_changes(changes: Changes) -> Figure:
    """Draw the breach rates of the segments that changed most, before and now."""
    table = changes.table.head(MOST_BARS).iloc[::-1]
    names = table["field"].map(label_field) + ": " + table["segment"]
    labels = [label(text) for text in names]
    plot = _start(110 + 26 * len(table), showlegend=True)
    plot.add_scatter(  # a line for each segment: None ends it
        x=[
            x
            for ends in zip(table["rate_before"], table["rate"], strict=True)
            for x in (*ends, None)
        ],
        y=[y for name in labels for y in (name, name, None)],
        mode="lines",
        line={"color": GREY, "width": 2},
        hoverinfo="skip",
        showlegend=False,
    )
    for column, name, symbol, colour in (
        ("rate_before", "before", "circle-open", GREY),
        ("rate", "now", "circle", PURPLE),
    ):
        plot.add_scatter(
            x=table[column],
            y=labels,
            name=name,
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": symbol},
            hovertemplate=f"<b>%{{y}}</b> {name}: %{{x:.1%}}<extra></extra>",
        )
    plot.update_layout(xaxis={**_SHARES, "title_text": "Breach rate"}, yaxis=_NAMES)
    return Figure(plot, "Breach rates before and now, by segment.")


def label(text: str, most: int = 44) -> str:
    """Shorten a text of the data for a label, and escape the tags that Plotly would render.

    Examples
    --------
    >>> label("<b>R&D</b>"), label("x" * 9, 5)
    ('&lt;b&gt;R&amp;D&lt;/b&gt;', 'xxxx…')
    """
    text = str(text)
    return escape(text if len(text) <= most else f"{text[: most - 1]}…", quote=False)


def format_capacity(per_day: float) -> str:
    """Format a number of escalations a day; NaN is no limit."""
    return "no limit" if np.isnan(per_day) else f"{per_day:.0f}"


def _short_dollars(amount: float) -> str:
    return f"${amount / 1000:,.1f}k" if abs(amount) >= 10_000 else f"${amount:,.0f}"


def _error_bars(values: Any, low: Any, high: Any) -> dict[str, Any]:
    """Express intervals as distances from the values, as Plotly does."""
    return {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low}


def _start(height: int, plot: go.Figure | None = None, **layout: Any) -> go.Figure:
    """Create a figure with the template, or apply it to one with subplots."""
    plot = go.Figure() if plot is None else plot
    return plot.update_layout(template=register_template(), height=height, **layout)
