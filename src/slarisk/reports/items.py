"""The MLflow items of an analysis, and the fetching of an earlier one."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import pandas as pd
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from slarisk.analysis.changes import SEGMENT_COLUMNS, EarlierAnalysis, Period, tabulate_segments
from slarisk.analysis.drivers import tabulate_drivers
from slarisk.analysis.escalation import Escalation
from slarisk.analysis.scenarios import ScenarioResult
from slarisk.errors import InputError
from slarisk.exports.spreadsheets import neutralise
from slarisk.reports.findings import describe_dropped, list_caveats, list_findings, name_policies
from slarisk.tracking.items import Item, Metrics, Params, Table, Tags, Text
from slarisk.tracking.runs import find_run
from slarisk.tracking.source import identify_source
from slarisk.tracking.tags import CONFIG_FILE, DATA_TAG, DESCRIPTION_TAG, KIND_TAG, POLICY_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slarisk.analysis.analyse import Analysis
    from slarisk.config import AnalyzeConfig
    from slarisk.tracking.source import Source

ANALYSIS = "analysis"
PERIOD_FILE, SEGMENTS_FILE, REPORT_FILE = "period.json", "segments.csv", "report.html"


def identify_analysis(data: str, policy: str, source: Source) -> dict[str, str]:
    """Build the tags of an analysis: its kind, and the fingerprints of data, policy and code."""
    return {KIND_TAG: ANALYSIS, DATA_TAG: data, POLICY_TAG: policy, **identify_source(source)}


def analysis_start_items(config: AnalyzeConfig, source: Source) -> Iterator[Item]:
    """Yield the items logged before the analysis, which a failed run has too."""
    yield Params(name_policies(config) | {"compare": config.compare or "none"})
    # without the store's address: it may hold a password
    written = replace(config, tracking=replace(config.tracking, uri=None))
    yield Text(CONFIG_FILE, OmegaConf.to_yaml(OmegaConf.structured(written)))
    if source.dirty:
        yield Text("uncommitted.diff", source.diff)


def analysis_items(analysis: Analysis, page: str) -> Iterator[Item]:
    """Yield the results: metrics, description, tables and the page."""
    period = analysis.period
    metrics = {
        "tickets": float(period.tickets),
        "breaches": float(period.breaches),
        "breach_rate": period.rate,
        "total_cost": period.total_cost,
    }
    if analysis.kpi is not None:
        metrics["kpi_rate"] = analysis.kpi.rate
    yield Metrics(metrics)
    yield Metrics({f"dropped_{reason}": n for reason, n in analysis.dropped.items()})
    yield Tags({DESCRIPTION_TAG: write_description(analysis)})
    yield Text(PERIOD_FILE, TypeAdapter(Period).dump_json(period, indent=2).decode())
    yield Text(SEGMENTS_FILE, tabulate_segments(analysis.breakdowns).to_csv(index=False))
    for path, frame in _list_tables(analysis):
        yield Table(f"tables/{path}.csv", neutralise(frame))
    yield Text(REPORT_FILE, page)


def _list_tables(analysis: Analysis) -> Iterator[tuple[str, pd.DataFrame]]:
    for fields, breakdown in analysis.breakdowns.items():
        yield f"where_{'_x_'.join(fields)}", breakdown.table
    yield "drivers", tabulate_drivers(analysis.drivers)
    simulated = [asdict(each) for each in analysis.scenarios if isinstance(each, ScenarioResult)]
    if simulated:
        yield "scenarios", pd.DataFrame(simulated)
    parts = {
        "trend": analysis.trend,
        "groups": analysis.groups,
        "measures": analysis.ranked,
        "best_set": analysis.best_set,
        "changes": analysis.changes,
        "escalation": analysis.escalation if isinstance(analysis.escalation, Escalation) else None,
    }
    yield from ((name, part.table) for name, part in parts.items() if part is not None)


def write_description(analysis: Analysis) -> str:
    """Write the run's description in Markdown: findings, dropped tickets and caveats."""
    lines = [f"- **{each.topic}.** {each.text}" for each in list_findings(analysis)]
    caveats = [describe_dropped(analysis), *list_caveats(analysis)]
    return "\n".join([*lines, "", *(f"- {caveat}" for caveat in caveats)])


def fetch_earlier(run_id: str) -> EarlierAnalysis:
    """Fetch the period and the segments of an earlier analysis.

    Raises
    ------
    InputError
        The run is not a finished analysis, or its files are gone or damaged.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    run = find_run(run_id, key="compare")
    if run.tags.get(KIND_TAG) != ANALYSIS or run.status != "FINISHED":
        raise InputError(
            f"compare={run_id}: {run.name} is no finished analysis. Name a run of analyze.py."
        )
    try:
        period, segments = (
            mlflow.artifacts.load_text(f"runs:/{run.run_id}/{name}")
            for name in (PERIOD_FILE, SEGMENTS_FILE)
        )
        text = dict.fromkeys(SEGMENT_COLUMNS[:2], "str")
        table = pd.read_csv(io.StringIO(segments), dtype=text, keep_default_na=False)
        return EarlierAnalysis(TypeAdapter(Period).validate_json(period), table[[*SEGMENT_COLUMNS]])
    except (MlflowException, OSError, ValueError, LookupError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"compare={run_id}: its tables cannot be fetched: {reason}") from error
