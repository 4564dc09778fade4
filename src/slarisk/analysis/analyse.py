"""The whole analysis of labelled tickets, composed from its parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from slarisk.analysis.breakdowns import Breakdown, break_down, list_breakdowns
from slarisk.analysis.changes import (
    Changes,
    EarlierAnalysis,
    Period,
    compare_periods,
    tabulate_segments,
)
from slarisk.analysis.drivers import Driver, find_drivers
from slarisk.analysis.escalation import ChampionScores, Escalation, measure_escalation
from slarisk.analysis.fields import (
    CALENDAR,
    Field,
    Outcomes,
    code_field,
    has_field,
    list_categories,
    read_numeric_fields,
    read_outcomes,
    require_fields,
)
from slarisk.analysis.groups import Groups, find_groups
from slarisk.analysis.interventions import (
    MOST_FIELDS,
    MOST_LEVELS,
    BestSet,
    Ranked,
    rank_interventions,
)
from slarisk.analysis.scenarios import ScenarioResult, SkippedScenario, simulate_scenarios
from slarisk.analysis.trend import HoursHistogram, Kpi, Trend, count_hours, find_trend, measure_kpi
from slarisk.config import AnalyzeConfig
from slarisk.decisions.effect import make_effect
from slarisk.decisions.timing import TimedCosts
from slarisk.stats.rates import wilson_interval
from slarisk.tickets.contract import get_dates, take_facts, take_times
from slarisk.tickets.fields import BECAUSE, date_fields
from slarisk.tickets.labels import OPEN
from slarisk.tickets.prepare import LabelledTickets
from slarisk.times.zones import show_local


@dataclass(frozen=True, eq=False)
class Analysis:
    """The results of an analysis; None where the data cannot give one.

    Attributes
    ----------
    rows_in : int
        Tickets read: those labelled and those dropped.
    dropped : dict of str to int
        Tickets without a label, by reason.
    period : Period
        The totals of the labelled tickets.
    rate_low, rate_high : float
        The Wilson interval of their breach rate.
    unpriced : int
        Breaches that cost nothing under the SLA policy.
    breakdowns : dict of tuple of str to Breakdown
        By the names of their fields, with every segment, however small.
    escalation : Escalation or str
        Or why the model cannot be measured.
    """

    config: AnalyzeConfig
    rows_in: int
    dropped: dict[str, int]
    period: Period
    rate_low: float
    rate_high: float
    unpriced: int
    kpi: Kpi | None
    breakdowns: dict[tuple[str, ...], Breakdown]
    hours: list[HoursHistogram]
    trend: Trend | None
    drivers: list[Driver]
    groups: Groups | None
    scenarios: list[ScenarioResult | SkippedScenario]
    ranked: Ranked | None
    best_set: BestSet | None
    escalation: Escalation | str
    changes: Changes | None


def analyse_tickets(
    tickets: LabelledTickets,
    config: AnalyzeConfig,
    run_id: str,
    policy: str,
    champion: ChampionScores | str,
    earlier: EarlierAnalysis | None = None,
) -> Analysis:
    """Analyse where and why tickets breach, and what would help.

    Parameters
    ----------
    tickets : LabelledTickets
    config : AnalyzeConfig
    run_id, policy : str
        Of this analysis: its run, and the fingerprint of targets and prices.
    champion : ChampionScores or str
        Of these tickets, or why there are none.
    earlier : EarlierAnalysis, optional
        To compare with.

    Raises
    ------
    InputError
        The config names a field that the tickets do not have.
    """
    frame, confidence = _show_local(tickets.frame, config), config.confidence
    outcomes, fields = read_outcomes(frame), _code_fields(frame, config)
    coded, priority = [*fields.values()], fields.get("priority")
    breakdowns = {
        names: break_down([fields[name] for name in names], outcomes, confidence)
        for names in list_breakdowns([*fields], config.data.segments)
    }
    period = _sum_up(frame, outcomes, run_id, policy)
    low, high = wilson_interval([period.breaches], [period.tickets], confidence)
    measures = rank_interventions(
        _choose_fields(frame, fields, config),
        outcomes,
        config.measures,
        confidence,
        config.bootstrap_draws,
        config.min_tickets,
        config.seed,
    )
    ranked, best_set = measures or (None, None)
    return Analysis(
        config=config,
        rows_in=tickets.rows_in,
        dropped=tickets.dropped,
        period=period,
        rate_low=float(low[0]),
        rate_high=float(high[0]),
        unpriced=int(np.sum(outcomes.breach & (outcomes.price == 0))),
        kpi=_measure_kpi(frame, outcomes, config),
        breakdowns=breakdowns,
        hours=count_hours(priority, outcomes),
        trend=find_trend(outcomes, confidence, _list_open(_show_local(tickets.unlabelled, config))),
        drivers=find_drivers(
            coded,
            read_numeric_fields(frame, config.data),
            outcomes.breach,
            priority,
            confidence,
            config.min_tickets,
            config.seed,
        ),
        groups=find_groups(coded, outcomes, confidence, config.seed),
        scenarios=simulate_scenarios(config.scenarios, frame, config.data, outcomes, confidence),
        ranked=ranked,
        best_set=best_set,
        escalation=champion
        if isinstance(champion, str)
        else _measure_champion(champion, tickets, config),
        changes=None
        if earlier is None
        else compare_periods(
            earlier, period, tabulate_segments(breakdowns), confidence, config.min_tickets
        ),
    )


def _code_fields(tickets: pd.DataFrame, config: AnalyzeConfig) -> dict[str, Field]:
    """Code the policy's categories, the fields of the config, hour and weekday."""
    chosen = require_fields(tickets, config.data, config.fields, "fields")
    names = dict.fromkeys([*list_categories(tickets, config.data), *chosen, *CALENDAR])
    return {
        name: code_field(tickets, config.data, name)
        for name in names
        if has_field(tickets, config.data, name)
    }


def _show_local(tickets: pd.DataFrame, config: AnalyzeConfig) -> pd.DataFrame:
    """Give the dates of tickets as the clocks of the data's time zone show them."""
    zone = config.data.timezone
    if zone is None:
        return tickets
    names = {"created_at", *date_fields(config.data)} & set(tickets)
    return tickets.assign(**{name: show_local(tickets[name], zone) for name in names})


def _list_open(unlabelled: pd.DataFrame) -> pd.Series:
    """Creation times of the tickets that may still get a label."""
    return get_dates(unlabelled, "created_at")[unlabelled[BECAUSE] == OPEN]


def _sum_up(tickets: pd.DataFrame, outcomes: Outcomes, run_id: str, policy: str) -> Period:
    created = tickets["created_at"]
    first, last = ("", "") if created.isna().all() else (str(created.min()), str(created.max()))
    return Period(
        run_id=run_id,
        first=first,
        last=last,
        tickets=len(tickets),
        breaches=int(outcomes.breach.sum()),
        total_cost=float(outcomes.loss.sum()),
        policy=policy,
    )


def _measure_kpi(tickets: pd.DataFrame, outcomes: Outcomes, config: AnalyzeConfig) -> Kpi | None:
    kpi = config.kpi
    if not require_fields(tickets, config.data, [kpi.field], "kpi.field"):
        return None
    field = code_field(tickets, config.data, kpi.field)
    return measure_kpi(field, kpi.value, outcomes, kpi.below, config.confidence)


def _choose_fields(
    tickets: pd.DataFrame, fields: dict[str, Field], config: AnalyzeConfig
) -> list[Field]:
    """Choose the fields whose segments get measures: those of the config, or the first few."""
    if config.measures.fields is None:
        small = [each for each in fields.values() if 1 < len(each.levels) <= MOST_LEVELS]
        return [each for each in small if each.name not in CALENDAR][:MOST_FIELDS]
    names = require_fields(tickets, config.data, config.measures.fields, "measures.fields")
    return [fields.get(name) or code_field(tickets, config.data, name) for name in names]


def _measure_champion(
    scores: ChampionScores, tickets: LabelledTickets, config: AnalyzeConfig
) -> Escalation:
    scored = tickets.frame[scores.scored]
    return measure_escalation(
        scores,
        breach=scored["breach"].to_numpy(dtype=bool),
        timed=TimedCosts(
            tickets.costs.take(scores.scored), take_times(scored), make_effect(config.cost)
        ),
        tickets=take_facts(scored, config.data),
        priority=scored["breach_cost"].to_numpy(dtype=float),
        capacities=config.capacities,
        confidence=config.confidence,
    )
