"""The report: what an analysis found, section by section."""

from __future__ import annotations

from dataclasses import asdict
from html import escape

import numpy as np
import pandas as pd

from slarisk.analysis.breakdowns import Breakdown
from slarisk.analysis.drivers import describe_driver, tabulate_drivers
from slarisk.analysis.fields import CALENDAR, label_field
from slarisk.analysis.figures import (
    draw_capacity,
    draw_capture,
    draw_changes,
    draw_drivers,
    draw_groups,
    draw_heat,
    draw_hours,
    draw_measures,
    draw_rates,
    draw_trend,
    name_ranking,
)
from slarisk.analysis.findings import (
    count,
    describe_dropped,
    describe_edge,
    list_caveats,
    list_findings,
    write_rate,
)
from slarisk.analysis.page import Page, Section, pair_up, write_card, write_html, write_note
from slarisk.analysis.results import Analysis
from slarisk.analysis.scenarios import LeftOut, Simulated
from slarisk.config import AnalyzeConfig
from slarisk.decisions.costs import dollars

_OPEN = 4  # breakdowns of a single field that are not folded away, beside the calendar


def write_report(analysis: Analysis) -> str:
    """Write the report as one HTML page; what the data does not tell is left out."""
    page = Page()
    sections = [
        Section("Findings", "What to know", _write_summary(analysis)),
        Section("Changes", "What changed", _write_changes(analysis, page)),
        Section("Where", "Where we breach", _write_where(analysis, page)),
        Section("Why", "Why we breach", _write_why(analysis, page)),
        Section("Groups", "Tickets that cost alike", _write_groups(analysis, page)),
        Section("Scenarios", "What if", _write_scenarios(analysis, page)),
        Section("Measures", "Which change helps most", _write_measures(analysis, page)),
        Section("Model", "What the model adds", _write_model(analysis, page)),
        Section("Basis", "What this rests on", _write_ground(analysis, page)),
    ]
    title = f"Where and why tickets breach: {analysis.config.data.name}"
    told = [section for section in sections if section.content]
    return write_html(title, _write_origin(analysis), told)


def _write_origin(analysis: Analysis) -> str:
    config, period = analysis.config, analysis.period
    names = ", ".join(f"{key}={value}" for key, value in name_policies(config).items())
    span = f", created {period.first[:10]} to {period.last[:10]}" if period.first else ""
    return (
        f'<p class="soft">{period.tickets:,} tickets with a known outcome{span}. '
        f"Judged under {escape(names)}.</p>"
    )


def name_policies(config: AnalyzeConfig) -> dict[str, str]:
    """Name the policies that an analysis rests on."""
    return {"data": config.data.name, "sla": config.sla.name, "cost": config.cost.name}


def _write_summary(analysis: Analysis) -> str:
    period, kpi = analysis.period, analysis.kpi
    sure = f"{analysis.config.confidence:.0%}"
    cards = [
        write_card("Breach rate", f"{period.rate:.1%}", f"{sure} interval {_span(analysis)}"),
        write_card("Breaches", f"{period.breaches:,}", f"of {period.tickets:,} tickets"),
        write_card(
            "Cost of breaches",
            dollars(period.total_cost),
            f"${period.total_cost / period.tickets:,.2f} a ticket",
        ),
    ]
    if kpi is not None:
        met = kpi.rate < kpi.target
        cards.append(
            write_card(
                f"KPI: {kpi.segment} tickets",
                f"{kpi.rate:.1%}",
                f"{'meets' if met else 'misses'} the target of under {kpi.target:.0%} "
                f"({kpi.breaches:,} of {kpi.tickets:,})",
                "good" if met else "bad",
            )
        )
    rows = "".join(
        f"<dt>{escape(each.topic)}</dt><dd>{escape(each.text)}</dd>"
        for each in list_findings(analysis)
    )
    note = ""
    if kpi is None:
        target = analysis.config.kpi
        note = write_note(
            f"There is no KPI: no ticket has {label_field(target.field).lower()} {target.value}."
        )
    return f'<div class="cards">{"".join(cards)}</div>{note}<dl class="findings">{rows}</dl>'


def _span(analysis: Analysis) -> str:
    return f"{analysis.rate_low:.1%} to {analysis.rate_high:.1%}"


_SEGMENT_COLUMNS = {
    "tickets": ("Tickets", "count"),
    "breach_rate": ("Breach rate", "rate"),
    "rate_low..rate_high": ("Interval", "rate"),
    "mean_hours": ("Mean h", "hours"),
    "median_hours": ("Median h", "hours"),
    "total_cost": ("Cost", "dollars"),
    "average_cost": ("Per ticket", "cents"),
}


def _write_where(analysis: Analysis, page: Page) -> str:
    singles = {k[0]: each for k, each in analysis.breakdowns.items() if len(k) == 1}
    pairs = {k: each for k, each in analysis.breakdowns.items() if len(k) > 1}
    first = [name for name in singles if name not in CALENDAR][:_OPEN]
    parts = ["<p>Bars are breach rates with their intervals; the dashed line is all tickets.</p>"]
    parts += [_write_single(analysis, page, singles[name]) for name in first]
    parts += [_write_pair(analysis, page, each) for each in pairs.values()]
    if analysis.hours:
        by = "by priority" if "priority" in singles else "of all tickets"
        parts.append(f"<h3>Hours to resolution, {by}, against the target</h3>")
        parts.append(
            page.figure(
                draw_hours(analysis.hours),
                "Histograms of resolution hours: "
                + "; ".join(f"{each.name}: median {each.median:,.1f}" for each in analysis.hours),
            )
        )
    if analysis.trend is not None:
        parts.append(f"<h3>Over time, by {analysis.trend.unit} of creation</h3>")
        written = "%Y-%m-%d %H:%M" if analysis.trend.unit == "hour" else "%Y-%m-%d"
        table = analysis.trend.table
        table = table.assign(**{"from": table["start"].dt.strftime(written)})
        figure = page.figure(
            draw_trend(analysis.trend, analysis.period.rate),
            f"Breach rate from {table['breach_rate'].iloc[0]:.1%} in the first "
            f"{analysis.trend.unit} to {table['breach_rate'].iloc[-1]:.1%} in the last.",
        )
        columns = {
            "from": (f"{analysis.trend.unit.capitalize()} from", "right"),
            "tickets": ("Tickets", "count"),
            "breach_rate": ("Breach rate", "rate"),
            "rate_low..rate_high": ("Interval", "rate"),
            "total_cost": ("Cost", "dollars"),
        }
        parts.append(pair_up(figure, page.table(table, columns, "trend", "The same in figures")))
    parts += [_write_single(analysis, page, singles[name]) for name in CALENDAR if name in singles]
    for name, breakdown in singles.items():
        if name not in first and name not in CALENDAR:
            content = _write_single(analysis, page, breakdown)
            parts.append(
                f"<details><summary>{escape(breakdown.title)}</summary>{content}</details>"
            )
    return "".join(parts)


def _write_single(analysis: Analysis, page: Page, breakdown: Breakdown) -> str:
    fewest = analysis.config.min_tickets
    table = breakdown.at_least(fewest)
    if table.empty:
        return f"<h3>{escape(breakdown.title)}</h3>" + write_note(_say_small(analysis, breakdown))
    top = table.iloc[int(table["breach_rate"].argmax())]
    name = breakdown.fields[0]
    figure = page.figure(
        draw_rates(breakdown, fewest, analysis.period.rate),
        f"Breach rates by {label_field(name).lower()}; the highest is "
        f"{write_rate(top['breach_rate'], top['rate_low'], top['rate_high'])} for {top[name]}.",
    )
    return f"<h3>{escape(breakdown.title)}</h3>" + pair_up(
        figure, _tabulate(analysis, page, breakdown)
    )


def _write_pair(analysis: Analysis, page: Page, breakdown: Breakdown) -> str:
    if breakdown.at_least(analysis.config.min_tickets).empty:
        return f"<h3>{escape(breakdown.title)}</h3>" + write_note(_say_small(analysis, breakdown))
    order = {
        name: list(analysis.breakdowns[(name,)].table[name])
        for name in breakdown.fields
        if name == "priority" and (name,) in analysis.breakdowns
    }
    picture = ""
    if len(breakdown.fields) == 2:
        picture = page.figure(
            draw_heat(breakdown, analysis.config.min_tickets, order),
            f"Breach rate (colour) and dollars lost (text) by {breakdown.title}.",
        )
    table = _tabulate(analysis, page, breakdown)
    return f"<h3>{escape(breakdown.title)}</h3>" + (pair_up(picture, table) if picture else table)


def _tabulate(analysis: Analysis, page: Page, breakdown: Breakdown) -> str:
    headings = {name: (label_field(name), "text") for name in breakdown.fields}
    table = breakdown.at_least(analysis.config.min_tickets)
    columns = headings | _SEGMENT_COLUMNS
    if len(breakdown.fields) > 1:
        del columns["mean_hours"]  # the CSV has it, the page no room
    if table["mean_hours"].isna().all():
        columns = {key: spec for key, spec in columns.items() if not key.endswith("_hours")}
    caption = _say_small(analysis, breakdown) or f"{len(table):,} segments"
    return page.table(table, columns, f"where_{'_x_'.join(breakdown.fields)}", caption)


def _say_small(analysis: Analysis, breakdown: Breakdown) -> str:
    fewest = analysis.config.min_tickets
    small = len(breakdown.table) - len(breakdown.at_least(fewest))
    if not small:
        return ""
    shown = len(breakdown.table) - small
    return f"{shown:,} segments; {small:,} more have fewer than {fewest} tickets and no row"


def _write_why(analysis: Analysis, page: Page) -> str:
    drivers = analysis.drivers
    if not drivers:
        return write_note(
            "Nothing to test: all tickets or none breached, or no field has more than one value."
        )
    sentences = "".join(
        f"<li>{escape(describe_driver(each, analysis.config.confidence))}</li>" for each in drivers
    )
    figure = page.figure(
        draw_drivers(drivers),
        "Effect sizes: "
        + "; ".join(f"{label_field(each.name)} {abs(each.effect):.2f}" for each in drivers),
    )
    columns = {
        "driver": ("Candidate", "text"),
        "test": ("Test", "text"),
        "statistic": ("Statistic", "statistic"),
        "p_value": ("p", "p5"),
        "welch_p": ("Welch p", "p"),
        "q_value": ("Corrected p", "p"),
        "effect": ("Effect", "number"),
        "measure": ("Measure", "text"),
        "within_q": ("Within priority", "p"),
        "verdict": ("Verdict", "text"),
    }
    table = page.table(
        tabulate_drivers(drivers),
        columns,
        "drivers",
        "p-values are corrected for all tests made here (Benjamini-Hochberg). Within priority: "
        "Cochran-Mantel-Haenszel, or van Elteren for numbers.",
    )
    intro = (
        "<p>Each field is tested for whether breaches go with it, and for whether that holds "
        "within tickets of one priority. Cramér's V and r: from 0.1 small, 0.3 medium, 0.5 strong; "
        "below 0.1 too weak to matter, however small the p-value.</p>"
    )
    return f"{intro}{pair_up(figure, f'<ul>{sentences}</ul>', 'even')}{table}"


def _write_groups(analysis: Analysis, page: Page) -> str:
    groups = analysis.groups
    if groups is None:
        return write_note("No rule separates costly tickets from cheap ones.")
    table = groups.table.assign(name=[f"Group {i + 1}" for i in groups.table.index])
    columns = {
        "name": ("", "text"),
        "group": ("Rule", "text"),
        "tickets": ("Tickets", "count"),
        "share": ("Share", "rate"),
        "breach_rate": ("Breach rate", "rate"),
        "checked_rate": ("Checked", "rate"),
        "rate_low..rate_high": ("Interval", "rate"),
        "average_cost": ("Per ticket", "cents"),
        "total_cost": ("Cost", "dollars"),
        "cost_share": ("Of all", "rate"),
    }
    intro = (
        "<p>A shallow tree splits the tickets into groups that cost alike, by rules that can be "
        f"read. The rules were found on {groups.found_on:,} tickets; “checked” is the breach rate "
        "among the others, which had no part in it.</p>"
    )
    figure = page.figure(
        draw_groups(groups),
        "Share of cost and of tickets: "
        + "; ".join(
            f"group {i + 1}: {row['cost_share']:.0%} of the cost, {row['share']:.0%} of the tickets"
            for i, row in enumerate(groups.table.to_dict("records"))
        ),
    )
    return intro + figure + page.table(table, columns, "groups", "Every ticket is in one group")


def _write_scenarios(analysis: Analysis, page: Page) -> str:
    simulated = [each for each in analysis.scenarios if isinstance(each, Simulated)]
    left_out = [each for each in analysis.scenarios if isinstance(each, LeftOut)]
    notes = "".join(
        write_note(f"{each.key} ({each.title}) is left out: {each.reason}.") for each in left_out
    )
    if not simulated:
        return notes
    table = pd.DataFrame([asdict(each) for each in simulated])
    columns = {
        "key": ("", "text"),
        "segment": ("Tickets with", "text"),
        "tickets": ("Tickets", "count"),
        "breaches": ("Breaches", "count"),
        "reduction": ("Reduction", "rate"),
        "avoided": ("Avoided", "count"),
        "saved": ("Saved", "dollars"),
        "cost": ("Measure", "dollars"),
        "net": ("Net", "dollars"),
        "new_rate": ("New rate", "rate4"),
        "new_cost": ("New cost", "dollars"),
    }
    intervals = {
        "key": ("", "text"),
        "title": ("Scenario", "text"),
        "expected": ("Expected avoided", "one"),
        "expected_low..expected_high": ("Interval", "one"),
        "expected_saved": ("Expected saved", "dollars"),
        "saved_low..saved_high": ("Interval", "dollars"),
    }
    period = analysis.period
    intro = (
        f"<p>Baseline: {period.tickets:,} tickets, breach rate {period.rate:.6f}, cost "
        f"{dollars(period.total_cost)}. Each scenario prevents a share of the breaches of its "
        "tickets, every one as likely as the next.</p>"
    )
    first = page.table(table, columns, "scenarios", "In whole breaches")
    second = page.table(
        table,
        intervals,
        "scenarios_expected",
        "Before rounding, with intervals: what another period of this kind and size would give",
    )
    return intro + first + second + notes


def _write_measures(analysis: Analysis, page: Page) -> str:
    ranked, best, measures = analysis.ranked, analysis.best_set, analysis.config.measures
    if ranked is None or best is None:
        return write_note(
            "There is nothing to rank: no field with few enough values has a segment whose "
            "breaches cost money."
        )
    fields = ", ".join(label_field(name).lower() for name in ranked.fields)
    intro = (
        f"<p>A measure reaches all tickets of one segment ({escape(fields)}; alone or in pairs) "
        f"and is taken to prevent {measures.reduction:.0%} of their breaches. It takes "
        f"{count(measures.setup_effort, 'point')} of effort to set up, and "
        f"{measures.reach_effort / 10:g} more for every tenth of all tickets that it reaches. "
        f"{len(ranked.table):,} measures were ranked by dollars saved per point. The rank's "
        "interval says where it would lie had other tickets come in.</p>"
    )
    figure = page.figure(
        draw_measures(ranked),
        "Dollars saved per point of effort: "
        + "; ".join(
            f"{row['segment']} {dollars(row['per_point'])}"
            for row in ranked.table.head(5).to_dict("records")
        ),
    )
    columns = {
        "segment": ("Segment", "text"),
        "tickets": ("Tickets", "count"),
        "breaches": ("Breaches", "count"),
        "effort": ("Effort", "one"),
        "saved": ("Saved", "dollars"),
        "per_point": ("Per point", "dollars"),
        "rank_low..rank_high": ("Rank between", "count"),
        "top_share": ("Came first", "rate"),
    }
    table = page.table(ranked.table, columns, "measures", "Single measures, best first")
    if best.table.empty:
        told = write_note(f"No measure fits into a budget of {best.budget:g} points.")
    else:
        proof = (
            "It is optimal: among all sets of these measures that fit the budget, none saves more "
            "under the same assumptions. A ticket reached twice counts once."
            if best.proven
            else f"The solver ran out of time; no set can save more than {dollars(best.bound)}."
        )
        told = (
            f"<p>Together they save {dollars(best.saved)} for {best.effort:.1f} of "
            f"{count(best.budget, 'point')}. {proof}</p>"
        )
        told += page.table(best.table, columns, "best_set", "The best set under the budget")
    return f"{intro}{figure}{table}<h3>The best set under a budget</h3>{told}"


def _write_model(analysis: Analysis, page: Page) -> str:
    escalation = analysis.escalation
    if isinstance(escalation, str):
        return write_note(f"Left out. {escalation}")
    origins = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in escalation.origins.items())
    cost = analysis.config.cost
    intro = (
        f"<p>{escape(escalation.version)} scored {escalation.tickets:,} tickets of "
        f"{escalation.days:,} days, none by a model that was fitted on it (scores: {origins}). An "
        f"escalation costs ${cost.escalation_cost:g} and averts {cost.effectiveness:.0%} of a "
        f"breach's cost; of one that would have breached, {cost.charged:.0%} is charged.</p>"
    )
    sentences = "".join(
        f"<li>{escape(describe_edge(escalation, row))}</li>"
        for _, row in escalation.edge.iterrows()
    )
    table = escalation.table.assign(
        capacity=["no limit" if np.isnan(x) else f"{x:.0f}" for x in escalation.table["per_day"]],
        who=[name_ranking(name) for name in escalation.table["ranking"]],
    )
    columns = {
        "capacity": ("A day", "text"),
        "who": ("Ranking", "text"),
        "escalated": ("Escalated", "count"),
        "averted": ("Averted", "dollars"),
        "averted_share": ("Of the loss", "rate"),
        "spent": ("Spent", "dollars"),
        "net": ("Net", "dollars"),
        "return": ("Averted per $ spent", "number"),
    }
    capacity = page.figure(
        draw_capacity(escalation), "Net dollars averted by capacity, for each ranking."
    )
    capture = page.figure(
        draw_capture(escalation), "Share of the loss among the tickets that rank highest."
    )
    figures = (
        f'<div class="pair even"><div><h3>What each capacity averts, net</h3>{capacity}</div>'
        f"<div><h3>Where the loss is: the risk-capture curve</h3>{capture}</div></div>"
    )
    told = page.table(
        table,
        columns,
        "escalation",
        "By expected saving stops where a ticket is not expected to pay; by priority stops at "
        "priorities that, in hindsight, do not pay; the others use all of the capacity",
    )
    return f"{intro}<ul>{sentences}</ul>{figures}{told}"


def _write_changes(analysis: Analysis, page: Page) -> str:
    changes = analysis.changes
    if changes is None:
        return ""
    rows = [
        {
            "what": name,
            "before": before,
            "now": now,
        }
        for name, before, now in (
            ("Tickets", f"{changes.earlier.tickets:,}", f"{changes.now.tickets:,}"),
            ("Breach rate", f"{changes.earlier.rate:.1%}", f"{changes.now.rate:.1%}"),
            ("Cost", dollars(changes.earlier.total_cost), dollars(changes.now.total_cost)),
            (
                "Cost per ticket",
                f"${changes.earlier.total_cost / changes.earlier.tickets:,.2f}",
                f"${changes.now.total_cost / changes.now.tickets:,.2f}",
            ),
            ("From", changes.earlier.first[:10] or "unknown", changes.now.first[:10] or "unknown"),
            ("To", changes.earlier.last[:10] or "unknown", changes.now.last[:10] or "unknown"),
        )
    ]
    overall = page.table(
        pd.DataFrame(rows),
        {"what": ("", "text"), "before": ("Before", "right"), "now": ("Now", "right")},
        "periods",
        f"Against the analysis of run {changes.earlier.run_id}",
    )
    split = pd.DataFrame(
        {
            "field": [label_field(name) for name in changes.mix],
            "mix": [100 * value for value in changes.mix.values()],
            "own": [100 * value for value in changes.own.values()],
        }
    )
    parts = [pair_up(overall, _write_split(page, split), "even")]
    if len(changes.table):
        table = changes.table.assign(
            name=[label_field(name) for name in changes.table["field"]],
            points=100 * changes.table["change"],
            points_low=100 * changes.table["change_low"],
            points_high=100 * changes.table["change_high"],
        )
        columns = {
            "name": ("Field", "text"),
            "segment": ("Segment", "text"),
            "rate_before": ("Before", "rate"),
            "rate": ("Now", "rate"),
            "points": ("Points", "points"),
            "points_low..points_high": ("Interval", "points"),
            "cost_change": ("$ per ticket", "cents"),
            "q_value": ("Corrected p", "p"),
        }
        figure = page.figure(draw_changes(changes), "Breach rates before and now, by segment.")
        parts.append("<h3>Segments, the clearest and largest changes first</h3>")
        parts.append(figure + page.table(table, columns, "changes", "Segments of both periods"))
    return "".join(parts)


def _write_split(page: Page, split: pd.DataFrame) -> str:
    if split.empty:
        return write_note("The two analyses have no field in common.")
    columns = {
        "field": ("By", "text"),
        "mix": ("From another mix", "points"),
        "own": ("From other rates", "points"),
    }
    return page.table(
        split, columns, "mix", "The change of the breach rate in points, split in two (Kitagawa)"
    )


def _write_ground(analysis: Analysis, page: Page) -> str:
    config = analysis.config
    caveats = "".join(f"<li>{escape(caveat)}</li>" for caveat in list_caveats(analysis))
    columns = {"priority": ("Priority", "text"), "target": ("Target, hours", "one")}
    columns |= {"cost": ("Cost of a breach", "dollars")}
    sla = pd.DataFrame(
        [(name, config.sla.targets[name], config.sla.costs[name]) for name in config.sla.targets],
        columns=["priority", "target", "cost"],
    )
    aliases = ", ".join(f"{alias} counts as {name}" for alias, name in config.sla.aliases.items())
    account = pd.DataFrame(
        [("labelled", analysis.period.tickets), *analysis.dropped.items()],
        columns=["what", "tickets"],
    )
    dropped = page.table(
        account,
        {"what": ("Tickets", "text"), "tickets": ("Count", "count")},
        "tickets",
        f"{analysis.rows_in:,} tickets in the export",
    )
    policy = page.table(
        sla, columns, "sla", f"SLA policy {config.sla.name}" + (f"; {aliases}" if aliases else "")
    )
    label = config.data.label.kind.value.replace("_", " ")
    return (
        f"<h3>Data and policy</h3><p>{escape(describe_dropped(analysis))} A breach is had from: "
        f"{escape(label)}. Data: <code>{escape(config.data.path)}</code>; run "
        f"<code>{escape(analysis.period.run_id)}</code>.</p>"
        + pair_up(dropped, policy, "even")
        + f"<h3>Caveats</h3><ul>{caveats}</ul>"
    )
