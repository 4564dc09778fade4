"""The findings and caveats of an analysis, in sentences computed from its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from slarisk.analysis.analyse import Analysis
from slarisk.analysis.breakdowns import TIMES
from slarisk.analysis.drivers import Driver, DriverVerdict
from slarisk.analysis.escalation import (
    BY_CHANCE,
    BY_PRIORITY,
    BY_SAVING,
    BY_TIMER,
    Escalation,
)
from slarisk.analysis.fields import CALENDAR, SINCE_FIRST, label_field
from slarisk.analysis.scenarios import ScenarioResult
from slarisk.config import AnalyzeConfig, CreationKind, LabelKind
from slarisk.decisions.costs import dollars
from slarisk.reports.formats import (
    format_count,
    format_interval,
    format_p,
    format_points,
    format_share,
)
from slarisk.times.clock import describe_clock

_NAMED = 3  # measures that a sentence lists
_ENOUGH = 0.02  # the least share of tickets of a period whose rate a sentence states
# the reasons for which slarisk.tickets.labels drops tickets
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
class KeyFinding:
    """A finding: one or two sentences on a topic."""

    topic: str
    text: str


def name_policies(config: AnalyzeConfig) -> dict[str, str]:
    """Name the policies of an analysis by config group."""
    return {"data": config.data.name, "sla": config.sla.name, "cost": config.cost.name}


def list_findings(analysis: Analysis) -> list[KeyFinding]:
    """List the findings, the most important first."""
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


def _find_size(analysis: Analysis) -> Iterator[KeyFinding]:
    period = analysis.period
    rate = format_interval(period.rate, analysis.rate_low, analysis.rate_high)
    yield KeyFinding(
        "The size of it",
        f"{period.breaches:,} of {period.tickets:,} tickets breached their SLA: {rate}. That cost "
        f"{dollars(period.total_cost)}, or ${period.total_cost / period.tickets:,.2f} a ticket.",
    )


def _find_kpi(analysis: Analysis) -> Iterator[KeyFinding]:
    kpi = analysis.kpi
    if kpi is None:
        return
    rate = format_interval(kpi.rate, kpi.low, kpi.high)
    target = f"the target of {format_share(kpi.target)}"
    if f"{kpi.rate:.1%}" == f"{kpi.target:.1%}":
        verdict = f"at {target}"
    elif kpi.high < kpi.target:
        verdict = f"below {target}, clearly"
    elif kpi.rate < kpi.target:
        verdict = f"below {target}, but not beyond doubt"
    elif kpi.low > kpi.target:
        verdict = f"{kpi.rate / kpi.target:.1f} times {target}"
    else:
        verdict = f"above {target}, though chance could explain it"
    yield KeyFinding("The KPI", f"{kpi.segment} tickets breach in {rate}: {verdict}.")


def _find_change(analysis: Analysis) -> Iterator[KeyFinding]:
    changes = analysis.changes
    if changes is None:
        return
    change = changes.now.rate - changes.earlier.rate
    low, high = changes.rate_low, changes.rate_high
    clear = low > 0 or high < 0
    before, now = f"{changes.earlier.rate:.1%}", f"{changes.now.rate:.1%}"
    interval = f"({format_points(100 * low)} to {format_points(100 * high)} points)"
    if before == now:
        text = f"The breach rate is unchanged at {now} {interval}."
    else:
        chance = "" if clear else ", which chance alone could do"
        verb = "rose" if change > 0 else "fell"
        text = f"The breach rate {verb} from {before} to {now} {interval}{chance}."
    if changes.mix and clear and before != now:
        field = max(changes.mix, key=lambda name: abs(changes.mix[name]))
        part = format_points(100 * changes.mix[field])
        text += (
            f" Of the {format_points(100 * change)} points, {part} come from a changed mix by "
            f"{label_field(field).lower()}, the rest from changed rates at the same mix."
        )
    yield KeyFinding("What changed", text)


def _find_money(analysis: Analysis) -> Iterator[KeyFinding]:
    total = analysis.period.total_cost
    if not total:
        return
    singles = {fields: each for fields, each in analysis.breakdowns.items() if len(fields) == 1}
    priority = singles.get(("priority",))
    if priority is not None and len(priority.table) > 1:
        row = priority.table.iloc[int(priority.table["total_cost"].argmax())]
        yield KeyFinding(
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
            yield KeyFinding(
                "The costliest combination",
                f"{name}: {row['tickets']:,} tickets, {row['breach_rate']:.1%} of them breached, "
                f"{dollars(row['total_cost'])} lost ({row['total_cost'] / total:.0%} of all).",
            )


def _find_drivers(analysis: Analysis) -> Iterator[KeyFinding]:
    if not analysis.drivers:
        return
    by_verdict = {
        verdict: [driver for driver in analysis.drivers if driver.verdict is verdict]
        for verdict in DriverVerdict
    }
    if matters := by_verdict[DriverVerdict.matters]:
        named = [f"{_name(driver)} ({driver.strength})" for driver in matters]
        text = f"Breaches go with {_join(named)}."
        imputed = [_name(driver) for driver in matters if driver.name in CALENDAR]
        if imputed and analysis.config.data.creation.kind is CreationKind.imputed:
            text += f" Creation times are imputed, so {_join(imputed)} may be no more than that."
    else:
        text = "No field that was tested goes with breaches strongly enough to matter."
    others = {
        DriverVerdict.by_priority: "{} {} so too, but only because of priority",
        DriverVerdict.weak: "{} {} more than chance, yet too weak to matter",
        DriverVerdict.no_evidence: "for {} there is no evidence",
    }
    rest = []
    for verdict, words in others.items():
        if drivers := by_verdict[verdict]:
            names = _join([_name(driver) for driver in drivers])
            verb = "does" if len(drivers) == 1 else "do"
            if verdict is DriverVerdict.weak:
                verb = "is" if len(drivers) == 1 else "are"
            rest.append(words.format(names, verb))
    if rest:
        sentence = "; ".join(rest)
        text += f" {sentence[0].upper()}{sentence[1:]}."
    yield KeyFinding("Why", text)


def _find_trend(analysis: Analysis) -> Iterator[KeyFinding]:
    """Describe the trend where the tests find one."""
    drifts = any(
        each.name == SINCE_FIRST and each.verdict is DriverVerdict.matters
        for each in analysis.drivers
    )
    if analysis.trend is None or not drifts:
        return
    table = analysis.trend.settled
    table = table[table["tickets"] >= _ENOUGH * analysis.period.tickets]
    if len(table) < 2:
        return
    (first, start), (last, end) = (
        (f"{each['breach_rate']:.1%}", f"{each['start']:%Y-%m-%d}")
        for each in (table.iloc[0], table.iloc[-1])
    )
    course = (
        f"was {first} at both ends ({start} and {end})"
        if first == last
        else f"went from {first} ({start}) to {last} ({end})"
    )
    yield KeyFinding(
        "Over time", f"The breach rate moves: by {analysis.trend.unit} of creation it {course}."
    )


def _name(driver: Driver) -> str:
    return label_field(driver.name).lower()


def _find_measures(analysis: Analysis) -> Iterator[KeyFinding]:
    ranked, best = analysis.ranked, analysis.best_set
    if ranked is None or best is None:
        return
    first, share = ranked.table.iloc[0], analysis.config.measures.reduction
    text = (
        f"Per point of effort, {format_share(share)} fewer breaches among {first['segment']} save "
        f"most: {dollars(first['per_point'])} a point, {dollars(first['saved'])} in all."
    )
    if first["top_share"] < 0.8:
        text += f" The lead is not certain: it came first in {first['top_share']:.0%} of the draws"
        low, high = first["rank_low"], first["rank_high"]
        text += "." if low == high else f", and its rank lies between {low} and {high}."
    if ranked.optimism > 0.02:
        text += f" Picked as the best of many, it is likely overstated by {ranked.optimism:.0%}."
    yield KeyFinding("What helps most", text)
    if len(best.table):
        proof = (
            "no other set within the budget saves more"
            if best.proven
            else f"no set can save more than {dollars(best.bound)}"
        )
        segments = "; ".join(best.table["segment"])
        named = f" ({segments})" if len(best.table) <= _NAMED else ""
        yield KeyFinding(
            "The best set",
            f"With {format_count(best.budget, 'point')}, {format_count(len(best.table), 'measure')}"
            f"{named} save {dollars(best.saved)}; {proof}.",
        )


def _find_scenarios(analysis: Analysis) -> Iterator[KeyFinding]:
    simulated = [each for each in analysis.scenarios if isinstance(each, ScenarioResult)]
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
    yield KeyFinding("Scenarios", text + ".")


_RIVALS = {
    BY_PRIORITY: "ranking by priority",
    BY_CHANCE: "ranking at random",
    BY_TIMER: "a timer",
}


def _find_model(analysis: Analysis) -> Iterator[KeyFinding]:
    escalation = analysis.escalation
    if not isinstance(escalation, Escalation):
        return
    edge = escalation.edge
    # the least capacity; and none, because a timer keeps to none
    rows = [edge.iloc[0], edge.iloc[-1]] if len(edge) > 1 else [edge.iloc[-1]]
    said = " ".join(describe_edge(escalation, row) for row in rows)
    yield KeyFinding("What the model adds", said)


def describe_edge(escalation: Escalation, row: pd.Series) -> str:
    """Describe the gain of the model at one capacity over the best ranking without a model."""
    table, per_day, gain = escalation.table, row["per_day"], dollars(abs(row["gain"]))
    unlimited = bool(np.isnan(per_day))
    same = table["per_day"].isna() if unlimited else table["per_day"].eq(per_day)
    model = table[same & table["ranking"].eq(BY_SAVING)].iloc[0]
    limit = "no limit" if unlimited else f"{per_day:.0f} escalations a day"
    low, high = row["gain_low"], row["gain_high"]
    interval = f"[{dollars(low)} to {dollars(high)}]"
    if gain == "$0":
        outcome = f"makes no difference {interval}"
    else:
        outcome = f"{'gains' if row['gain'] > 0 else 'loses'} {gain} net {interval}"
        outcome += "" if low > 0 or high < 0 else ", which may be luck"
    return (
        f"With {limit}, the model's ranking averts {dollars(model['averted'])} "
        f"({model['averted_share']:.0%} of the loss) for {dollars(model['spent'])}. Against "
        f"{_RIVALS[row['rival']]} it {outcome}."
    )


def describe_driver(driver: Driver) -> str:
    """Describe the conclusion of a driver's tests in a sentence."""
    name, span = label_field(driver.name), _describe_span(driver)
    chance = f"corrected p {format_p(driver.q_value)}"
    match driver.verdict:
        case DriverVerdict.no_evidence:
            return (
                f"{name}: {span}; differences of this size are what chance alone makes ({chance})."
            )
        case DriverVerdict.weak:
            return (
                f"{name}: {span}. That is more than chance ({chance}), but too weak to matter "
                f"({driver.measure} {driver.effect:.2f})."
            )
        case DriverVerdict.by_priority if driver.within is None:
            end = "It goes so closely with priority that the two cannot be told apart."
        case DriverVerdict.by_priority:
            end = (
                "Within a priority nothing of it is left "
                f"(corrected p {format_p(driver.within_q_value)}): priority explains it."
            )
        case DriverVerdict.matters if driver.confounding is None:
            end = ""
        case DriverVerdict.matters:
            end = f"It holds within priorities too (corrected p {format_p(driver.within_q_value)})."
    size = f"a {driver.strength} effect ({driver.measure} {driver.effect:.2f}, {chance})"
    return f"{name}: {span}, {size}. {end}".strip()


def _describe_span(driver: Driver) -> str:
    (lowest, low), (highest, high) = (each.rsplit(" ", 1) for each in (driver.low, driver.high))
    if driver.welch is not None:
        if low == high:
            return f"{low} on average, whether tickets breached or not"
        return f"{high} on average where tickets breached, {low} where they did not"
    if low == high:
        return f"breach rates are {low} at every level"
    return f"breach rates run from {low} ({lowest.strip('()')}) to {high} ({highest.strip('()')})"


def list_caveats(analysis: Analysis) -> list[str]:
    """List the caveats that apply to this analysis."""
    config, period = analysis.config, analysis.period
    caveats = []
    if config.data.creation.kind is CreationKind.imputed:
        creation = config.data.creation
        caveats.append(
            f"Creation times are imputed: {creation.low_hours} to {creation.high_hours} hours, "
            "drawn at random, before the first response. Resolution hours and every effect of "
            "hour and weekday are partly made up."
        )
    clock = describe_clock(config.sla, config.data.timezone)
    caveats += [clock] if clock else []
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
    elif len(analysis.trend.settled) < len(analysis.trend.table):
        table = analysis.trend.table[~analysis.trend.table["settled"]]
        first, more = f"{table['start'].iloc[0]:%Y-%m-%d}", " and in others" * (len(table) > 1)
        caveats.append(
            f"Of the tickets created in the {analysis.trend.unit} of {first}{more}, "
            f"{table['still_open'].sum():,} are still open: "
            "those with a label are the quick ones, and their breach rate will rise."
        )
    caveats += [
        "An association is no cause: that breaches differ between two channels does not mean that "
        "moving a ticket to the other would save it.",
        "The reductions of scenarios and measures are assumptions. Intervals cover the sampling of "
        "tickets: how far the figures could move in another period of the same kind and size.",
    ]
    if isinstance(analysis.escalation, Escalation):
        caveats.append(
            "What the model adds is measured on tickets that it was not fitted on, but the model "
            "was chosen among others partly on some of them, which flatters it a little."
        )
    if analysis.changes is not None and not analysis.changes.same_policy:
        caveats.append(
            "The earlier analysis used other targets or prices: part of the change comes from the "
            "policy and not from the tickets."
        )
    return caveats


def describe_dropped(analysis: Analysis) -> str:
    """Count the tickets of the export that were analysed, and those dropped by reason."""
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
