"""What an analysis found, in sentences that are computed and never canned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from slarisk.analysis.breakdowns import TIMES
from slarisk.analysis.drivers import Driver, Verdict
from slarisk.analysis.escalation import PRIORITY, SAVING, Escalation
from slarisk.analysis.fields import CALENDAR, SINCE_FIRST, label_field
from slarisk.analysis.results import Analysis
from slarisk.analysis.scenarios import Simulated
from slarisk.config import AnalyzeConfig, CreationKind, LabelKind
from slarisk.decisions.costs import dollars
from slarisk.reports.formats import format_count, format_interval, format_p

_NAMED = 3  # measures that a sentence spells out
_ENOUGH = 0.02  # of the tickets must a period have for its rate to be worth a sentence
# why a ticket was dropped (slarisk.tickets.labels), for people
REASON_WORDS = {
    "no_ticket_id": "without a ticket id",
    "unreadable_date": "with a date that cannot be read",
    "unknown_priority": "with a priority the SLA does not know",
    "open": "still open and within their target",
    "no_times": "without the times a label needs",
    "resolved_before_created": "resolved before they were created",
    "no_label": "without a label",
}


@dataclass(frozen=True)
class Finding:
    """A sentence or two on one topic."""

    topic: str
    text: str


def name_policies(config: AnalyzeConfig) -> dict[str, str]:
    """Name the policies that an analysis rests on."""
    return {"data": config.data.name, "sla": config.sla.name, "cost": config.cost.name}


def list_findings(analysis: Analysis) -> list[Finding]:
    """List what a manager should know, the most important first."""
    return [
        *_find_size(analysis),
        *_find_kpi(analysis),
        *_find_change(analysis),
        *_find_money(analysis),
        *_find_drivers(analysis),
        *_find_trend(analysis),
        *_find_measures(analysis),
        *_find_scenarios(analysis),
        *_find_model(analysis),
    ]


def _find_size(analysis: Analysis) -> Iterator[Finding]:
    period = analysis.period
    rate = format_interval(period.rate, analysis.rate_low, analysis.rate_high)
    yield Finding(
        "The size of it",
        f"{period.breaches:,} of {period.tickets:,} tickets breached their SLA: {rate}. That cost "
        f"{dollars(period.total_cost)}, or ${period.total_cost / period.tickets:,.2f} a ticket.",
    )


def _find_kpi(analysis: Analysis) -> Iterator[Finding]:
    kpi = analysis.kpi
    if kpi is None:
        return
    rate = format_interval(kpi.rate, kpi.low, kpi.high)
    if kpi.rate < kpi.target and kpi.high < kpi.target:
        verdict = f"below the target of {kpi.target:.0%}, clearly"
    elif kpi.rate < kpi.target:
        verdict = f"below the target of {kpi.target:.0%}, but not beyond doubt"
    elif kpi.low > kpi.target:
        verdict = f"{kpi.rate / kpi.target:.1f} times the target of {kpi.target:.0%}"
    else:
        verdict = f"above the target of {kpi.target:.0%}, though chance could explain it"
    yield Finding("The KPI", f"{kpi.segment} tickets breach in {rate}: {verdict}.")


def _find_change(analysis: Analysis) -> Iterator[Finding]:
    changes = analysis.changes
    if changes is None:
        return
    change = changes.now.rate - changes.earlier.rate
    low, high = changes.rate_low, changes.rate_high
    clear = low > 0 or high < 0
    how = "rose" if change > 0 else "fell" if change < 0 else "stayed where it was,"
    sure = "" if clear or not change else ", which chance alone could do"
    text = (
        f"The breach rate {how} from {changes.earlier.rate:.1%} to {changes.now.rate:.1%} "
        f"({100 * low:+.1f} to {100 * high:+.1f} points){sure}."
    )
    if changes.mix and clear:
        field = max(changes.mix, key=lambda name: abs(changes.mix[name]))
        part = changes.mix[field]
        text += (
            f" Of the {100 * change:+.1f} points, {100 * part:+.1f} come from another mix by "
            f"{label_field(field).lower()}, the rest from other rates at the same mix."
        )
    yield Finding("What changed", text)


def _find_money(analysis: Analysis) -> Iterator[Finding]:
    total = analysis.period.total_cost
    if not total:
        return
    singles = {fields: each for fields, each in analysis.breakdowns.items() if len(fields) == 1}
    priority = singles.get(("priority",))
    if priority is not None and len(priority.table) > 1:
        row = priority.table.iloc[int(priority.table["total_cost"].argmax())]
        yield Finding(
            "Where the money goes",
            f"{row['priority']} tickets are {row['tickets'] / analysis.period.tickets:.0%} of all "
            f"and {row['total_cost'] / total:.0%} of the cost.",
        )
    pairs = [each for fields, each in analysis.breakdowns.items() if len(fields) > 1]
    if pairs:
        table = pairs[0].at_least(analysis.config.min_tickets)
        if len(table):
            row = table.iloc[0]
            name = TIMES.join(str(row[field]) for field in pairs[0].fields)
            yield Finding(
                "The costliest combination",
                f"{name}: {row['tickets']:,} tickets, {row['breach_rate']:.1%} of them breached, "
                f"{dollars(row['total_cost'])} lost ({row['total_cost'] / total:.0%} of all).",
            )


def _find_drivers(analysis: Analysis) -> Iterator[Finding]:
    by_verdict: dict[Verdict, list[Driver]] = {verdict: [] for verdict in Verdict}
    for driver in analysis.drivers:
        by_verdict[driver.verdict].append(driver)
    if not analysis.drivers:
        return
    matters = by_verdict[Verdict.matters]
    if matters:
        named = [f"{_name(driver)} ({driver.strength})" for driver in matters]
        text = f"Breaches go with {_join(named)}."
        made_up = [_name(driver) for driver in matters if driver.name in CALENDAR]
        if made_up and analysis.config.data.creation.kind is CreationKind.imputed:
            text += f" Creation times are imputed, so {_join(made_up)} may be no more than that."
    else:
        text = "No field that was tested goes with breaches strongly enough to matter."
    others = {
        Verdict.by_priority: "{} {} so too, but only because of priority",
        Verdict.weak: "{} {} more than chance, yet too weak to matter",
        Verdict.no_evidence: "for {} there is no evidence",
    }
    rest = []
    for verdict, words in others.items():
        if drivers := by_verdict[verdict]:
            names = _join([_name(driver) for driver in drivers])
            verb = "does" if len(drivers) == 1 else "do"
            if verdict is Verdict.weak:
                verb = "is" if len(drivers) == 1 else "are"
            rest.append(words.format(names, verb))
    if rest:
        told = "; ".join(rest)
        text += f" {told[0].upper()}{told[1:]}."
    yield Finding("Why", text)


def _find_trend(analysis: Analysis) -> Iterator[Finding]:
    """Tell of the trend where the tests say that there is one."""
    drifts = any(
        each.name == SINCE_FIRST and each.verdict is Verdict.matters for each in analysis.drivers
    )
    if analysis.trend is None or not drifts:
        return
    table = analysis.trend.table
    table = table[table["tickets"] >= _ENOUGH * analysis.period.tickets]
    if len(table) < 2:
        return
    first, last = table.iloc[0], table.iloc[-1]
    parts = [f"{each['breach_rate']:.1%} ({each['start']:%Y-%m-%d})" for each in (first, last)]
    yield Finding(
        "Over time",
        f"The breach rate moves: by {analysis.trend.unit} of creation it went from {parts[0]} to "
        f"{parts[1]}.",
    )


def _name(driver: Driver) -> str:
    return label_field(driver.name).lower()


def _find_measures(analysis: Analysis) -> Iterator[Finding]:
    ranked, best = analysis.ranked, analysis.best_set
    if ranked is None or best is None:
        return
    first, share = ranked.table.iloc[0], analysis.config.measures.reduction
    text = (
        f"Per point of effort, {share:.0%} fewer breaches among {first['segment']} save most: "
        f"{dollars(first['per_point'])} a point, {dollars(first['saved'])} in all."
    )
    if first["top_share"] < 0.8:
        text += (
            f" The lead is not certain: it came first in {first['top_share']:.0%} of the draws, "
            f"and its rank lies between {first['rank_low']} and {first['rank_high']}."
        )
    if ranked.optimism > 0.02:
        text += f" Picked as the best of many, it is likely overstated by {ranked.optimism:.0%}."
    yield Finding("What helps most", text)
    if len(best.table):
        proof = (
            "no other set within the budget saves more"
            if best.proven
            else f"no set can save more than {dollars(best.bound)}"
        )
        segments = "; ".join(best.table["segment"])
        named = f" ({segments})" if len(best.table) <= _NAMED else ""
        yield Finding(
            "The best set",
            f"With {format_count(best.budget, 'point')}, {format_count(len(best.table), 'measure')}"
            f"{named} save {dollars(best.saved)}; {proof}.",
        )


def _find_scenarios(analysis: Analysis) -> Iterator[Finding]:
    simulated = [each for each in analysis.scenarios if isinstance(each, Simulated)]
    if not simulated:
        return
    best = max(simulated, key=lambda each: each.net)
    if not best.expected_saved:
        return
    text = (
        f"Of {format_count(len(simulated), 'scenario')}, {best.key} ({best.title}) comes out best: "
        f"{best.avoided} breaches avoided and {dollars(best.saved)} saved"
    )
    if best.cost:
        text += f", {dollars(best.net)} after {dollars(best.cost)} for the measure"
    else:
        text += f"; it pays as long as the measure costs less than {dollars(best.expected_saved)}"
    yield Finding("Scenarios", text + ".")


def _find_model(analysis: Analysis) -> Iterator[Finding]:
    escalation = analysis.escalation
    if not isinstance(escalation, Escalation):
        return
    edge = escalation.edge
    limited = edge[edge["per_day"].notna()]
    row = limited.iloc[0] if len(limited) else edge.iloc[-1]
    yield Finding("What the model adds", describe_edge(escalation, row))


def describe_edge(escalation: Escalation, row: pd.Series) -> str:
    """Say what the model gains at one capacity over the best ranking that needs none."""
    table = escalation.table
    same = table["per_day"].eq(row["per_day"]) | (
        table["per_day"].isna() & bool(np.isnan(row["per_day"]))
    )
    mine = table[same & table["ranking"].eq(SAVING)].iloc[0]
    limit = (
        "With no limit"
        if np.isnan(row["per_day"])
        else f"With {row['per_day']:.0f} escalations a day"
    )
    gain, low, high = row["gain"], row["gain_low"], row["gain_high"]
    verb = "gains" if gain >= 0 else "loses"
    sure = "" if low > 0 or high < 0 else ", which may be luck"
    return (
        f"{limit}, the model's ranking averts {dollars(mine['averted'])} "
        f"({mine['averted_share']:.0%} of the loss) for {dollars(mine['spent'])}. Against ranking "
        f"{'by priority' if row['rival'] == PRIORITY else 'at random'} it {verb} "
        f"{dollars(abs(gain))} net [{dollars(low)} to {dollars(high)}]{sure}."
    )


def describe_driver(driver: Driver) -> str:
    """Say in a sentence what the tests of a driver mean."""
    name = label_field(driver.name)
    numeric = driver.welch is not None
    span = (
        f"{driver.high.replace('breached: mean ', '')} on average where tickets breached, "
        f"{driver.low.replace('met: mean ', '')} where they did not"
        if numeric
        else f"breach rates run from {_rate_of(driver.low)} to {_rate_of(driver.high)}"
    )
    chance = f"corrected p {format_p(driver.q_value)}"
    match driver.verdict:
        case Verdict.no_evidence:
            return (
                f"{name}: {span}; differences of this size are what chance alone makes ({chance})."
            )
        case Verdict.weak:
            return (
                f"{name}: {span}. That is more than chance ({chance}), but too weak to matter "
                f"({driver.measure} {driver.effect:.2f})."
            )
        case Verdict.by_priority if driver.within is None:
            end = "It goes so closely with priority that the two cannot be told apart."
        case Verdict.by_priority:
            end = (
                "Within a priority nothing of it is left "
                f"(corrected p {format_p(driver.within_q_value)}): priority explains it."
            )
        case Verdict.matters if driver.confounding is None:
            end = ""
        case Verdict.matters:
            end = f"It holds within priorities too (corrected p {format_p(driver.within_q_value)})."
    size = f"a {driver.strength} effect ({driver.measure} {driver.effect:.2f}, {chance})"
    return f"{name}: {span}, {size}. {end}".strip()


def _rate_of(named: str) -> str:
    level, rate = named.rsplit(" ", 1)
    return f"{rate} ({level.strip('()')})"


def list_caveats(analysis: Analysis) -> list[str]:
    """List what a reader should keep in mind before acting on the report."""
    config, period = analysis.config, analysis.period
    caveats = []
    if config.data.creation.kind is CreationKind.imputed:
        creation = config.data.creation
        caveats.append(
            f"Creation times are imputed: {creation.low_hours} to {creation.high_hours} hours, "
            "drawn at random, before the first response. Resolution hours and every effect of "
            "hour and weekday are partly made up."
        )
    dropped = analysis.rows_in - period.tickets
    if dropped > 0.2 * analysis.rows_in:
        caveats.append(
            f"{dropped / analysis.rows_in:.0%} of the tickets have no label and are left out. If "
            "they breach more or less often than the others, the rates here are off."
        )
    if config.data.label.kind is LabelKind.column:
        caveats.append(
            "The breach is what the data says, and need not agree with resolution hours and "
            "targets."
        )
    if analysis.unpriced:
        caveats.append(
            f"{analysis.unpriced:,} of {period.breaches:,} breaches cost $0 under "
            f"sla={config.sla.name}, so no measure on them can save anything."
        )
    small = sum(
        len(each.table) - len(each.at_least(config.min_tickets))
        for each in analysis.breakdowns.values()
    )
    if small:
        caveats.append(
            f"{format_count(small, 'segment')} with fewer than {config.min_tickets} tickets get no "
            "row. Rates of small segments jump about: read their intervals, not their ranks."
        )
    if analysis.trend is None:
        caveats.append("The tickets cover too short a time, or have no times, to show a trend.")
    caveats += [
        "An association is no cause: that breaches differ between two channels does not say that "
        "moving a ticket to the other would save it.",
        "The reductions of scenarios and measures are assumptions. Intervals speak of the tickets: "
        "how far the figures could move in another period of the same kind and size.",
    ]
    if isinstance(analysis.escalation, Escalation):
        caveats.append(
            "What the model adds is measured on tickets that it was not fitted on, but the model "
            "was chosen among others partly on some of them, which flatters it a little."
        )
    if analysis.changes is not None and not analysis.changes.same_policy:
        caveats.append(
            "The earlier analysis was made under other targets or prices: part of the change is "
            "of the policy and not of the tickets."
        )
    return caveats


def describe_dropped(analysis: Analysis) -> str:
    """Account for every ticket of the export."""
    if not analysis.dropped:
        return f"All {analysis.rows_in:,} tickets of the export have a label."
    parts = [f"{n:,} {REASON_WORDS.get(key, key)}" for key, n in analysis.dropped.items()]
    return (
        f"Of {analysis.rows_in:,} tickets in the export, {analysis.period.tickets:,} have a label "
        f"and are analysed. Left out: {_join(parts)}."
    )


def _join(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
