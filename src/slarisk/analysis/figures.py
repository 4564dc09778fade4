"""The pictures of the report, as Plotly draws them; text of the data is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from slarisk.analysis.breakdowns import Breakdown
from slarisk.analysis.changes import Changes
from slarisk.analysis.drivers import Driver, Verdict
from slarisk.analysis.escalation import PRIORITY, PROBABILITY, RANDOM, SAVING, Escalation
from slarisk.analysis.fields import label_field
from slarisk.analysis.groups import Groups
from slarisk.analysis.measures import Ranked
from slarisk.analysis.palette import BLUE, GREEN, GREY, INK, LIGHT, ORANGE, PURPLE, VERMILION
from slarisk.analysis.trend import Hours, Trend

MOST_BARS = 15
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_LONGEST = 44  # characters of a label
_LINES = {SAVING: (BLUE, "solid"), PROBABILITY: (ORANGE, "dash")}
_LINES |= {PRIORITY: (GREEN, "dashdot"), RANDOM: (GREY, "dot")}
_RANKING_WORDS = {
    SAVING: "model: by expected saving",
    PROBABILITY: "model: by probability",
    PRIORITY: "by priority",
    RANDOM: "at random",
}


def name_ranking(ranking: str) -> str:
    """Name a ranking for people."""
    return _RANKING_WORDS[ranking]


def draw_rates(breakdown: Breakdown, fewest: int, average: float) -> go.Figure:
    """Draw the breach rates of one field with their intervals, beside that of all tickets."""
    name = breakdown.fields[0]
    table = breakdown.at_least(fewest)
    calendar = name in ("hour", "weekday")
    if not calendar:
        table = table.head(MOST_BARS).iloc[::-1]
    labels = [shorten(text) for text in table[name]]
    error = {
        "type": "data",
        "symmetric": False,
        "array": table["rate_high"] - table["breach_rate"],
        "arrayminus": table["breach_rate"] - table["rate_low"],
        "color": INK,
        "thickness": 1.2,
        "width": 3,
    }
    told = np.column_stack([table["tickets"], table["total_cost"]])
    hover = "%{customdata[0]:,} tickets, $%{customdata[1]:,.0f} lost<extra></extra>"
    if calendar:
        figure = go.Figure(
            go.Bar(
                x=labels,
                y=table["breach_rate"],
                error_y=error,
                customdata=told,
                marker_color=BLUE,
                hovertemplate="<b>%{x}</b>: %{y:.1%} breached<br>" + hover,
            )
        )
        figure.add_hline(average, line={"color": VERMILION, "dash": "dash", "width": 1.5})
        _dress(figure, 300)
        figure.update_yaxes(tickformat=".0%", rangemode="tozero", title_text="Breach rate")
        figure.update_xaxes(type="category", showgrid=False)
    else:
        figure = go.Figure(
            go.Bar(
                y=labels,
                x=table["breach_rate"],
                error_x=error,
                customdata=told,
                orientation="h",
                marker_color=BLUE,
                hovertemplate="<b>%{y}</b>: %{x:.1%} breached<br>" + hover,
            )
        )
        figure.add_vline(average, line={"color": VERMILION, "dash": "dash", "width": 1.5})
        _dress(figure, 90 + 26 * len(table))
        figure.update_xaxes(tickformat=".0%", rangemode="tozero", title_text="Breach rate")
        figure.update_yaxes(type="category", showgrid=False)
    return figure


def draw_heat(breakdown: Breakdown, fewest: int, order: Mapping[str, Sequence[str]]) -> go.Figure:
    """Draw the breach rate of two fields as colour, with the dollars written in.

    Parameters
    ----------
    breakdown : Breakdown
        By two fields.
    fewest : int
        Tickets a combination must have to be drawn.
    order : mapping of str to sequence of str
        The levels of a field in their own order, where they have one.
    """
    down, across = breakdown.fields
    table = breakdown.at_least(fewest)
    if table[across].nunique() > table[down].nunique():
        down, across = across, down
    rows = _take_levels(table, down, order, 12)
    columns = _take_levels(table, across, order, 8)
    rates = table.pivot_table(index=down, columns=across, values="breach_rate")
    costs = table.pivot_table(index=down, columns=across, values="total_cost")
    tickets = table.pivot_table(index=down, columns=across, values="tickets")
    rates, costs, tickets = (
        each.reindex(index=rows[::-1], columns=columns) for each in (rates, costs, tickets)
    )
    text = [
        ["" if np.isnan(cost) else f"{_money(cost)}" for cost in row] for row in costs.to_numpy()
    ]
    figure = go.Figure(
        go.Heatmap(
            x=[shorten(level, 20) for level in columns],
            y=[shorten(level) for level in rows[::-1]],
            z=rates.to_numpy(),
            customdata=tickets.to_numpy(),
            text=text,
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
    )
    _dress(figure, 110 + 34 * len(rows))
    figure.update_xaxes(showgrid=False, side="top", type="category")
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def _take_levels(
    table: pd.DataFrame, name: str, order: Mapping[str, Sequence[str]], most: int
) -> list[str]:
    """Take the levels that cost most, in their own order or the costliest first."""
    cost = table.groupby(name)["total_cost"].sum().sort_values(ascending=False, kind="stable")
    kept = [str(level) for level in cost.index[:most]]
    return [level for level in order[name] if level in kept] if name in order else kept


def draw_hours(hours: Sequence[Hours]) -> go.Figure:
    """Draw how long resolutions take, priority by priority, on either side of the target."""
    hours = hours[:8]
    space = min(0.08, 0.4 / len(hours))  # for the name above each
    figure = make_subplots(rows=len(hours), cols=1, shared_xaxes=True, vertical_spacing=space)
    for row, each in enumerate(hours, start=1):
        middle = np.sqrt(each.edges[:-1] * each.edges[1:])
        met = each.counts - each.late
        for part, colour, name in ((met, BLUE, "within target"), (each.late, VERMILION, "beyond")):
            figure.add_bar(
                x=np.log10(middle),
                y=part / each.counts.sum(),
                marker_color=colour,
                name=name,
                legendgroup=name,
                showlegend=row == 1,
                customdata=np.column_stack([each.edges[:-1], each.edges[1:]]),
                hovertemplate=f"{escape(each.name)}: %{{y:.1%}} take %{{customdata[0]:,.1f}} to "
                "%{customdata[1]:,.1f} h<extra></extra>",
                row=row,
                col=1,
            )
        if not np.isnan(each.target):
            figure.add_vline(
                float(np.log10(each.target)),
                line={"color": INK, "width": 1.5, "dash": "dash"},
                row=row,
                col=1,
            )
        target = "" if np.isnan(each.target) else f", target {each.target:g} h"
        figure.add_annotation(
            text=f"<b>{shorten(each.name)}</b>: median {each.median:,.1f} h{target}",
            xref="x domain" if row == 1 else f"x{row} domain",
            yref="y domain" if row == 1 else f"y{row} domain",
            x=0,
            y=1,
            showarrow=False,
            xanchor="left",
            yanchor="bottom",
        )
    _dress(figure, 90 + 120 * len(hours))
    figure.update_layout(bargap=0.06, barmode="stack", showlegend=True)
    figure.update_layout(legend_y=1.04, margin_t=60)
    figure.update_yaxes(showticklabels=False, showgrid=False)
    low, high = hours[0].edges[0], hours[0].edges[-1]
    exponents = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    marks = [m * 10.0**e for e in exponents for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    figure.update_xaxes(tickvals=np.log10(marks), ticktext=[f"{mark:g}" for mark in marks])
    figure.update_xaxes(title_text="Hours to resolution (logarithmic)", row=len(hours), col=1)
    return figure


def draw_trend(trend: Trend, average: float) -> go.Figure:
    """Draw the breach rate over time with its interval, over the number of tickets."""
    table = trend.table
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, row_heights=[0.7, 0.3], vertical_spacing=0.06
    )
    start = table["start"].dt.strftime("%Y-%m-%dT%H:%M:%S").to_list()
    figure.add_scatter(
        x=[*start, *start[::-1]],
        y=[*table["rate_high"], *table["rate_low"][::-1]],
        fill="toself",
        fillcolor="rgba(0,114,178,0.16)",
        line={"width": 0},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=start,
        y=table["breach_rate"],
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 5},
        hovertemplate="%{x}: %{y:.1%} breached<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_hline(average, line={"color": VERMILION, "dash": "dash", "width": 1.5}, row=1, col=1)
    figure.add_bar(
        x=start,
        y=table["tickets"],
        marker_color="#9DB7C9",
        hovertemplate="%{x}: %{y:,} tickets<extra></extra>",
        row=2,
        col=1,
    )
    _dress(figure, 400)
    figure.update_yaxes(
        tickformat=".0%", rangemode="tozero", title_text="Breach rate", row=1, col=1
    )
    figure.update_yaxes(title_text="Tickets", row=2, col=1)
    figure.update_xaxes(showgrid=False)
    return figure


_VERDICT_COLOURS = {
    Verdict.matters: BLUE,
    Verdict.by_priority: ORANGE,
    Verdict.weak: "#9DB7C9",
    Verdict.no_evidence: LIGHT,
}


def draw_drivers(drivers: Sequence[Driver]) -> go.Figure:
    """Draw the size of the effect of each candidate, in the colour of its verdict."""
    figure = go.Figure()
    order = [shorten(label_field(driver.name)) for driver in drivers][::-1]
    for verdict, colour in _VERDICT_COLOURS.items():
        mine = [driver for driver in drivers if driver.verdict is verdict]
        if not mine:
            continue
        figure.add_bar(
            y=[shorten(label_field(driver.name)) for driver in mine],
            x=[abs(driver.effect) for driver in mine],
            orientation="h",
            name=verdict.value,
            marker={"color": colour, "line": {"color": GREY, "width": 0.6}},
            customdata=[driver.measure for driver in mine],
            hovertemplate="<b>%{y}</b>: %{customdata} %{x:.2f}<extra></extra>",
        )
    _dress(figure, 110 + 24 * len(drivers))
    figure.update_layout(showlegend=True, barmode="overlay")
    figure.update_yaxes(showgrid=False, categoryorder="array", categoryarray=order)
    figure.update_xaxes(title_text="Size of the effect: 0 none, 1 complete", rangemode="tozero")
    return figure


def draw_groups(groups: Groups) -> go.Figure:
    """Draw the share of tickets beside the share of the cost of each group."""
    table = groups.table.iloc[::-1]
    labels = [f"Group {i + 1}" for i in table.index]
    figure = go.Figure()
    for column, name, colour in (
        ("cost_share", "share of the cost", VERMILION),
        ("share", "share of the tickets", "#9DB7C9"),
    ):
        figure.add_bar(
            y=labels,
            x=table[column],
            orientation="h",
            name=name,
            marker_color=colour,
            customdata=[shorten(text, 90) for text in table["group"]],
            hovertemplate="<b>%{customdata}</b><br>%{x:.1%} " + name[9:] + "<extra></extra>",
        )
    _dress(figure, 110 + 44 * len(table))
    figure.update_layout(showlegend=True, barmode="group", bargap=0.25)
    figure.update_layout(legend_traceorder="reversed")
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(showgrid=False)
    return figure


def draw_measures(ranked: Ranked) -> go.Figure:
    """Draw the dollars saved per point of effort of the best measures, with their intervals."""
    table = ranked.table.head(MOST_BARS).iloc[::-1]
    figure = go.Figure(
        go.Bar(
            y=[shorten(text) for text in table["segment"]],
            x=table["per_point"],
            orientation="h",
            marker_color=BLUE,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (table["saved_high"] - table["saved"]) / table["effort"],
                "arrayminus": (table["saved"] - table["saved_low"]) / table["effort"],
                "color": INK,
                "thickness": 1.2,
                "width": 3,
            },
            customdata=np.column_stack([table["saved"], table["effort"]]),
            hovertemplate="<b>%{y}</b>: $%{x:,.0f} a point<br>$%{customdata[0]:,.0f} for "
            "%{customdata[1]:.1f} points<extra></extra>",
        )
    )
    _dress(figure, 90 + 26 * len(table))
    figure.update_xaxes(tickprefix="$", title_text="Saved per point of effort", rangemode="tozero")
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def draw_capacity(escalation: Escalation) -> go.Figure:
    """Draw what each capacity averts net of its cost, by ranking."""
    figure = go.Figure()
    for name, (colour, dash) in _LINES.items():
        table = escalation.table[escalation.table["ranking"] == name]
        labels = ["no limit" if np.isnan(x) else f"{x:.0f}" for x in table["per_day"]]
        figure.add_scatter(
            x=labels,
            y=table["net"],
            name=_RANKING_WORDS[name],
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2.5},
            marker={"size": 7},
            customdata=np.column_stack([table["averted_share"], table["spent"]]),
            hovertemplate="%{x} a day, " + name + ": $%{y:,.0f} net<br>%{customdata[0]:.0%} of the "
            "loss averted for $%{customdata[1]:,.0f}<extra></extra>",
        )
    _dress(figure, 360)
    figure.update_layout(showlegend=True)
    figure.add_hline(0, line={"color": GREY, "width": 1})
    figure.update_yaxes(tickprefix="$", title_text="Averted, less the escalations")
    figure.update_xaxes(title_text="Escalations a day", type="category")
    return figure


def draw_capture(escalation: Escalation) -> go.Figure:
    """Draw the share of the loss among the tickets that rank highest."""
    figure = go.Figure()
    for name, (colour, dash) in _LINES.items():
        tickets, captured = escalation.curves[name]
        figure.add_scatter(
            x=tickets.round(4),
            y=captured.round(4),
            name=_RANKING_WORDS[name],
            mode="lines",
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate="the first %{x:.0%} of tickets hold %{y:.0%} of the loss<extra></extra>",
        )
    _dress(figure, 360)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(tickformat=".0%", title_text="Tickets, highest rank first", range=[0, 1])
    figure.update_yaxes(tickformat=".0%", title_text="Share of the loss", range=[0, 1.02])
    return figure


def draw_changes(changes: Changes) -> go.Figure:
    """Draw the breach rates of the segments that changed most, before and now."""
    table = changes.table.head(MOST_BARS).iloc[::-1]
    labels = [
        shorten(f"{label_field(row['field'])}: {row['segment']}")
        for row in table.to_dict("records")
    ]
    figure = go.Figure()
    for label, before, now in zip(labels, table["rate_before"], table["rate"], strict=True):
        figure.add_scatter(
            x=[before, now],
            y=[label, label],
            mode="lines",
            line={"color": GREY, "width": 2},
            hoverinfo="skip",
            showlegend=False,
        )
    marks: list[tuple[str, str, str]] = [
        ("rate_before", "before", "circle-open"),
        ("rate", "now", "circle"),
    ]
    for column, name, symbol in marks:
        figure.add_scatter(
            x=table[column],
            y=labels,
            name=name,
            mode="markers",
            marker={"color": PURPLE if column == "rate" else GREY, "size": 11, "symbol": symbol},
            hovertemplate="<b>%{y}</b> " + name + ": %{x:.1%}<extra></extra>",
        )
    _dress(figure, 110 + 26 * len(table))
    figure.update_layout(showlegend=True)
    figure.update_xaxes(tickformat=".0%", title_text="Breach rate", rangemode="tozero")
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def shorten(text: str, most: int = _LONGEST) -> str:
    """Shorten a label of the data, and escape what Plotly would take for markup.

    Examples
    --------
    >>> shorten("<b>R&D</b>"), shorten("x" * 9, 5)
    ('&lt;b&gt;R&amp;D&lt;/b&gt;', 'xxxx…')
    """
    text = str(text)
    return escape(text if len(text) <= most else f"{text[: most - 1]}…", quote=False)


def _money(dollars: float) -> str:
    return f"${dollars / 1000:,.1f}k" if abs(dollars) >= 10_000 else f"${dollars:,.0f}"


def _dress(figure: go.Figure, height: int) -> None:
    """Give all pictures one look."""
    axis: dict[str, Any] = {
        "gridcolor": LIGHT,
        "zerolinecolor": "#C8C8C8",
        "linecolor": "#B5B5B5",
        "automargin": True,
        "fixedrange": True,  # a page that scrolls must not zoom a picture instead
        "title": {"standoff": 8, "font": {"size": 13}},
    }
    figure.update_layout(
        template="none",
        height=height,
        font={"family": _FONT, "size": 13, "color": INK},
        margin={"l": 8, "r": 16, "t": 34, "b": 44},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        showlegend=False,
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom"},
        hoverlabel={"font": {"family": _FONT}},
    )
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis)
