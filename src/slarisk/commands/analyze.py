"""``python analyze.py``: where and why tickets breach, and what would help, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slarisk.analysis.breakdowns import break_down, list_breakdowns
from slarisk.analysis.changes import Changes, Period, compare_periods, list_segments
from slarisk.analysis.drivers import find_drivers
from slarisk.analysis.escalation import Escalation, measure_escalation
from slarisk.analysis.fields import (
    CALENDAR,
    Field,
    Outcomes,
    code_field,
    has_field,
    list_categories,
    read_numbers,
    read_outcomes,
    require_fields,
)
from slarisk.analysis.groups import find_groups
from slarisk.analysis.interventions import (
    MOST_FIELDS,
    MOST_LEVELS,
    BestSet,
    Ranked,
    rank_interventions,
    refuse_free_measures,
)
from slarisk.analysis.results import Analysis
from slarisk.analysis.scenarios import refuse_unclear_segments, simulate_scenarios
from slarisk.analysis.trend import Kpi, find_trend, measure_kpi, spread_hours
from slarisk.config import AnalyzeConfig
from slarisk.errors import InputError
from slarisk.model.bundle import ORIGIN, PROBABILITY
from slarisk.model.seen_tickets import OUT_OF_FOLD, as_scored
from slarisk.registry.models import fetch_version
from slarisk.registry.policy_differences import describe_data_policy
from slarisk.registry.versions import find_champion
from slarisk.reports.findings import list_findings
from slarisk.reports.items import (
    EarlierAnalysis,
    analysis_items,
    analysis_start_items,
    fetch_earlier,
    identify_analysis,
)
from slarisk.reports.report import write_report
from slarisk.scoring.output_files import write_all
from slarisk.stats.rates import wilson_interval
from slarisk.tickets.contract import take_facts
from slarisk.tickets.labels import LabelledTickets, prepare_tickets
from slarisk.tracking.log import log_items
from slarisk.tracking.runs import end_orphans
from slarisk.tracking.source import find_source
from slarisk.tracking.store import open_store, tracked_run
from slarisk.training.fingerprints import fingerprint_terms

if TYPE_CHECKING:
    import pandas as pd


def analyze(config: AnalyzeConfig) -> None:
    """Analyse an export, write the report, and track both as a run.

    Raises
    ------
    InputError
        The export, the config or the earlier analysis cannot be used, or the report not be written.
    """
    refuse_free_measures(config.measures)
    refuse_unclear_segments(config.scenarios)
    output = Path(config.output)
    refuse_output(output, config)
    experiment = open_store(config.tracking)
    end_orphans(experiment)
    earlier = fetch_earlier(config.compare) if config.compare is not None else None
    tickets = prepare_tickets(config.data, config.sla, config.cost)
    source = find_source()
    tags = identify_analysis(tickets.fingerprint, fingerprint_terms(config), source)
    with tracked_run(f"analysis {config.data.name}", tags) as run_id:
        log_items(analysis_start_items(config, source))
        analysis = analyse_tickets(tickets, config, run_id, earlier)
        page = write_report(analysis)
        log_items(analysis_items(analysis, page))
        write_all({output: page})
    tell(analysis, output, run_id)


def refuse_output(output: Path, config: AnalyzeConfig) -> None:
    """Refuse an output that is no file, or would be written over the export."""
    if output.is_dir():
        raise InputError(f"output={output}: is a folder; name a file in it.")
    if output.resolve() == Path(config.data.path).resolve():
        raise InputError(f"output={output}: is the input, and would be lost.")


def analyse_tickets(
    tickets: LabelledTickets, config: AnalyzeConfig, run_id: str, earlier: EarlierAnalysis | None
) -> Analysis:
    """Find out where and why tickets breach, and what would help."""
    frame, data = tickets.frame, config.data
    outcomes = read_outcomes(frame)
    fields = code_fields(frame, config)
    priority = fields.get("priority")
    asked = [*list_breakdowns([*fields], data.segments)]
    breakdowns = {
        names: break_down([fields[name] for name in names], outcomes, config.confidence)
        for names in asked
    }
    period = summarise_period(frame, outcomes, config, run_id)
    low, high = wilson_interval([period.breaches], [period.tickets], config.confidence)
    ranked, best_set = rank_config_interventions(frame, fields, outcomes, config)
    return Analysis(
        config=config,
        rows_in=tickets.rows_in,
        dropped=tickets.dropped,
        period=period,
        rate_low=float(low[0]),
        rate_high=float(high[0]),
        unpriced=int(np.sum(outcomes.breach & (outcomes.price == 0))),
        kpi=measure_kpi_target(frame, outcomes, config),
        breakdowns=breakdowns,
        hours=spread_hours(priority, outcomes),
        trend=find_trend(outcomes, config.confidence),
        drivers=find_drivers(
            [*fields.values()],
            read_numbers(frame, data),
            outcomes.breach,
            priority,
            config.confidence,
            config.min_tickets,
            config.seed,
        ),
        groups=find_groups([*fields.values()], outcomes, config.confidence, config.seed),
        scenarios=simulate_scenarios(config.scenarios, frame, data, outcomes, config.confidence),
        ranked=ranked,
        best_set=best_set,
        escalation=measure_champion(tickets, config),
        changes=find_changes(earlier, period, list_segments(breakdowns), config),
    )


def code_fields(tickets: pd.DataFrame, config: AnalyzeConfig) -> dict[str, Field]:
    """Code the fields to look at: the policy's categories, those asked for, hour and weekday."""
    asked = require_fields(tickets, config.data, config.fields, "fields")
    names = dict.fromkeys([*list_categories(tickets, config.data), *asked, *CALENDAR])
    return {
        name: code_field(tickets, config.data, name)
        for name in names
        if has_field(tickets, config.data, name)
    }


def summarise_period(
    tickets: pd.DataFrame, outcomes: Outcomes, config: AnalyzeConfig, run_id: str
) -> Period:
    """Sum the tickets up: how many, how many breached, what that cost, from when to when."""
    created = tickets["created_at"]
    first, last = ("", "") if created.isna().all() else (str(created.min()), str(created.max()))
    return Period(
        run_id=run_id,
        first=first,
        last=last,
        tickets=len(tickets),
        breaches=int(outcomes.breach.sum()),
        total_cost=float(outcomes.loss.sum()),
        policy=fingerprint_terms(config),
    )


def measure_kpi_target(
    tickets: pd.DataFrame, outcomes: Outcomes, config: AnalyzeConfig
) -> Kpi | None:
    """Hold the KPI against its target; None where no ticket counts for it."""
    kpi = config.kpi
    if not require_fields(tickets, config.data, [kpi.field], "kpi.field"):
        return None
    field = code_field(tickets, config.data, kpi.field)
    return measure_kpi(field, kpi.value, outcomes, kpi.below, config.confidence)


def rank_config_interventions(
    tickets: pd.DataFrame, fields: dict[str, Field], outcomes: Outcomes, config: AnalyzeConfig
) -> tuple[Ranked | None, BestSet | None]:
    """Rank the measures on segments of the fields that are asked for, or of the first few."""
    asked = config.measures.fields
    if asked is not None:
        names = require_fields(tickets, config.data, asked, "measures.fields")
        chosen = [fields.get(name) or code_field(tickets, config.data, name) for name in names]
    else:
        small = [each for each in fields.values() if 1 < len(each.levels) <= MOST_LEVELS]
        chosen = [each for each in small if each.name not in CALENDAR][:MOST_FIELDS]
    found = rank_interventions(
        chosen,
        outcomes,
        config.measures,
        config.confidence,
        config.bootstrap_draws,
        config.min_tickets,
        config.seed,
    )
    return found or (None, None)


def measure_champion(tickets: LabelledTickets, config: AnalyzeConfig) -> Escalation | str:
    """Measure what the champion adds, on tickets that it was not fitted on; or say why not."""
    name = config.tracking.registered_model
    champion = find_champion(name)
    if champion is None:
        return f"{name} has no champion yet. Promote one: python promote.py"
    try:
        bundle = fetch_version(name, champion)
    except InputError as error:  # all else can be told without a model
        return str(error)
    theirs = bundle.manifest.data
    if describe_data_policy(theirs) != describe_data_policy(config.data):
        return (
            f"The champion of {name}, version {champion.number}, reads exports by another data "
            f"policy ({theirs.name}; this analysis: {config.data.name})."
        )
    scored = as_scored(tickets.frame, config.data)
    met = bundle.seen_tickets.match(scored)
    # a training ticket without its out-of-fold score would be given the in-sample one
    honest = ~((met["origin"] == OUT_OF_FOLD) & met["probability"].isna()).to_numpy()
    if not honest.any():
        return f"Version {champion.number} of {name} has no honest score for these tickets."
    decided = bundle.decide(scored[honest])
    kept = tickets.frame[honest]
    origins = decided[ORIGIN].value_counts().to_dict()
    return measure_escalation(
        probability=decided[PROBABILITY].to_numpy(dtype=float),
        breach=kept["breach"].to_numpy(dtype=bool),
        costs=tickets.costs.take(honest),
        effectiveness=config.cost.effectiveness,
        tickets=take_facts(kept),
        priority=kept["breach_cost"].to_numpy(dtype=float),
        capacities=config.capacities,
        confidence=config.confidence,
        origins={str(origin): int(count) for origin, count in origins.items()},
        version=f"{name} version {champion.number} ({bundle.manifest.model_name})",
    )


def find_changes(
    earlier: EarlierAnalysis | None, now: Period, segments: pd.DataFrame, config: AnalyzeConfig
) -> Changes | None:
    """Compare with the earlier analysis, if one was named."""
    if earlier is None:
        return None
    return compare_periods(
        earlier.period, now, earlier.segments, segments, config.confidence, config.min_tickets
    )


def tell(analysis: Analysis, output: Path, run_id: str) -> None:
    """Say on the terminal what was found, and where the report is."""
    for finding in list_findings(analysis):
        print(f"{finding.topic}: {finding.text}")
    if isinstance(analysis.escalation, str):
        print(f"What the model adds: left out. {analysis.escalation}")
    print(f"  report {output}, run {run_id}", flush=True)
