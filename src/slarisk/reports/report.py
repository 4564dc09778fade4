"""The analysis report: tables, figures and sentences for the page's templates."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pandas as pd
from plotly.offline import get_plotlyjs

from slarisk.analysis.analyse import Analysis
from slarisk.analysis.breakdowns import Breakdown
from slarisk.analysis.changes import Changes
from slarisk.analysis.drivers import tabulate_drivers
from slarisk.analysis.fields import CALENDAR, label_field
from slarisk.analysis.groups import Groups
from slarisk.analysis.scenarios import ScenarioResult, SkippedScenario
from slarisk.decisions.costs import dollars
from slarisk.decisions.effect import describe_effect
from slarisk.reports.figures import (
    RANKING_WORDS,
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
    format_capacity,
)
from slarisk.reports.findings import (
    describe_driver,
    describe_dropped,
    describe_edge,
    list_caveats,
    list_findings,
    name_policies,
)
from slarisk.reports.formats import format_cents
from slarisk.reports.page import render

_OPEN = 4  # breakdowns by a single field that are not folded, apart from the calendar's


def write_report(analysis: Analysis) -> str:
    """Write the report as one HTML page, without the sections that have no results."""
    return render(
        "report.html.j2",
        plotlyjs=get_plotlyjs(),
        analysis=analysis,
        config=analysis.config,
        period=analysis.period,
        policies=name_policies(analysis.config),
        findings=list_findings(analysis),
        where=_prepare_where(analysis),
        why=_prepare_drivers(analysis),
        groups=_prepare_groups(analysis.groups),
        scenarios=_prepare_scenarios(analysis),
        measures=None if analysis.ranked is None else {"figure": draw_measures(analysis.ranked)},
        model=_prepare_escalation(analysis),
        changes=_prepare_changes(analysis.changes),
        basis=_prepare_basis(analysis),
    )


def _prepare_where(analysis: Analysis) -> dict[str, Any]:
    shown = {
        names: _prepare_breakdown(analysis, each) for names, each in analysis.breakdowns.items()
    }
    singles = {names[0]: each for names, each in shown.items() if len(names) == 1}
    plain = [each for name, each in singles.items() if name not in CALENDAR]
    trend = analysis.trend
    return {
        "first": plain[:_OPEN],
        "combined": [each for names, each in shown.items() if len(names) > 1],
        "calendar": [singles[name] for name in CALENDAR if name in singles],
        "folded": plain[_OPEN:],
        "by_priority": "priority" in singles,
        "hours": draw_hours(analysis.hours) if analysis.hours else None,
        "trend": None if trend is None else draw_trend(trend, analysis.period.rate),
        "trend_table": None if trend is None else _format_start(trend.table, trend.unit),
    }


def _format_start(table: pd.DataFrame, unit: str) -> pd.DataFrame:
    pattern = "%Y-%m-%d %H:%M" if unit == "hour" else "%Y-%m-%d"
    return table.assign(**{"from": table["start"].dt.strftime(pattern)})


def _prepare_breakdown(analysis: Analysis, breakdown: Breakdown) -> dict[str, Any]:
    fewest, fields = analysis.config.min_tickets, breakdown.fields
    table = breakdown.at_least(fewest)
    figure = None
    if len(fields) == 1 and len(table):
        figure = draw_rates(breakdown, fewest, analysis.period.rate)
    elif len(fields) == 2 and len(table):
        priority = analysis.breakdowns.get(("priority",))
        order = {} if priority is None else {"priority": list(priority.table["priority"])}
        figure = draw_heat(breakdown, fewest, order)
    return {
        "name": f"where_{'_x_'.join(fields)}",
        "title": breakdown.title,
        "labels": [(name, label_field(name), "text") for name in fields],
        "table": table,
        "hidden": len(breakdown.table) - len(table),
        "figure": figure,
    }


def _prepare_drivers(analysis: Analysis) -> dict[str, Any] | None:
    if not analysis.drivers:
        return None
    return {
        "sentences": [describe_driver(each) for each in analysis.drivers],
        "figure": draw_drivers(analysis.drivers),
        "table": tabulate_drivers(analysis.drivers),
    }


def _prepare_groups(groups: Groups | None) -> dict[str, Any] | None:
    if groups is None:
        return None
    table = groups.table.assign(name=[f"Group {i + 1}" for i in groups.table.index])
    return {"found_on": groups.found_on, "figure": draw_groups(groups), "table": table}


def _prepare_scenarios(analysis: Analysis) -> dict[str, Any]:
    simulated = [asdict(each) for each in analysis.scenarios if isinstance(each, ScenarioResult)]
    return {
        "table": pd.DataFrame(simulated),
        "left_out": [each for each in analysis.scenarios if isinstance(each, SkippedScenario)],
    }


def _prepare_escalation(analysis: Analysis) -> dict[str, Any] | None:
    escalation = analysis.escalation
    if isinstance(escalation, str):
        return None
    table = escalation.table
    return {
        "effect": describe_effect(analysis.config.cost),
        "sentences": [describe_edge(escalation, row) for _, row in escalation.edge.iterrows()],
        "capacity": draw_capacity(escalation),
        "capture": draw_capture(escalation),
        "table": table.assign(
            capacity=table["per_day"].map(format_capacity), who=table["ranking"].map(RANKING_WORDS)
        ),
    }


def _prepare_changes(changes: Changes | None) -> dict[str, Any] | None:
    if changes is None:
        return None
    periods = [
        [
            f"{each.tickets:,}",
            f"{each.rate:.1%}",
            dollars(each.total_cost),
            format_cents(each.total_cost / each.tickets),
            each.first[:10] or "unknown",
            each.last[:10] or "unknown",
        ]
        for each in (changes.earlier, changes.now)
    ]
    what = ["Tickets", "Breach rate", "Cost", "Cost per ticket", "From", "To"]
    table = changes.table
    points = {f"points{end}": 100 * table[f"change{end}"] for end in ("", "_low", "_high")}
    return {
        "run_id": changes.earlier.run_id,
        "periods": pd.DataFrame({"what": what, "before": periods[0], "now": periods[1]}),
        "split": pd.DataFrame(
            [(label_field(x), 100 * changes.mix[x], 100 * changes.own[x]) for x in changes.mix],
            columns=["field", "mix", "own"],
        ),
        "table": table.assign(name=table["field"].map(label_field), **points),
        "figure": draw_changes(changes) if len(table) else None,
    }


def _prepare_basis(analysis: Analysis) -> dict[str, Any]:
    sla = analysis.config.sla
    account = [("labelled", analysis.period.tickets), *analysis.dropped.items()]
    return {
        "dropped": describe_dropped(analysis),
        "caveats": list_caveats(analysis),
        "account": pd.DataFrame(account, columns=["what", "tickets"]),
        "sla": pd.DataFrame(
            [(name, target, sla.costs[name]) for name, target in sla.targets.items()],
            columns=["priority", "target", "cost"],
        ),
    }
