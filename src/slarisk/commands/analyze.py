"""``python analyze.py``: where and why tickets breach, and what would help, on one page."""

from __future__ import annotations

from pathlib import Path

from slarisk.analysis.analyse import Analysis, analyse_tickets
from slarisk.analysis.escalation import ChampionScores
from slarisk.analysis.interventions import validate_measures
from slarisk.analysis.scenarios import validate_scenarios
from slarisk.config import AnalyzeConfig
from slarisk.errors import InputError
from slarisk.model.bundle import ORIGIN, PROBABILITY
from slarisk.model.seen_tickets import OUT_OF_FOLD, as_scored
from slarisk.registry.models import fetch_version
from slarisk.registry.policy_differences import describe_data_policy
from slarisk.registry.versions import find_champion
from slarisk.reports.findings import list_findings
from slarisk.reports.items import (
    analysis_items,
    analysis_start_items,
    fetch_earlier,
    identify_analysis,
)
from slarisk.reports.report import write_report
from slarisk.scoring.output_files import write_all
from slarisk.tickets.prepare import LabelledTickets, prepare_tickets
from slarisk.tracking.log import log_items
from slarisk.tracking.runs import end_orphans
from slarisk.tracking.source import find_source
from slarisk.tracking.store import open_store, tracked_run
from slarisk.training.fingerprints import fingerprint_labelling


def analyze(config: AnalyzeConfig) -> None:
    """Analyse an export, write the report, and track both as a run.

    Raises
    ------
    InputError
        The export, the config or the earlier analysis cannot be used, or the report not be written.
    """
    validate_measures(config.measures)
    validate_scenarios(config.scenarios)
    output = Path(config.output)
    validate_output(output, config)
    experiment = open_store(config.tracking)
    end_orphans(experiment)
    earlier = fetch_earlier(config.compare) if config.compare is not None else None
    tickets = prepare_tickets(config.data, config.sla, config.cost, config.max_rejected)
    source, policy = find_source(), fingerprint_labelling(config)
    tags = identify_analysis(tickets.fingerprint, policy, source)
    with tracked_run(f"analysis {config.data.name}", tags) as run_id:
        log_items(analysis_start_items(config, source))
        champion = fetch_champion_scores(tickets, config)
        analysis = analyse_tickets(tickets, config, run_id, policy, champion, earlier)
        page = write_report(analysis)
        log_items(analysis_items(analysis, page))
        write_all({output: page})
    for note in tickets.notes:
        print(note)
    print_findings(analysis)
    print(f"  report {output}, run {run_id}", flush=True)


def validate_output(output: Path, config: AnalyzeConfig) -> None:
    """Raise InputError if the output is a folder, or the export itself."""
    if output.is_dir():
        raise InputError(f"output={output}: is a folder; name a file in it.")
    if output.resolve() == Path(config.data.path).resolve():
        raise InputError(f"output={output}: is the input, and would be lost.")


def fetch_champion_scores(tickets: LabelledTickets, config: AnalyzeConfig) -> ChampionScores | str:
    """Score the tickets that the champion was not fitted on; or return why it cannot."""
    name = config.tracking.registered_model
    champion = find_champion(name)
    if champion is None:
        return f"{name} has no champion yet. Promote one: python promote.py"
    try:
        bundle = fetch_version(name, champion)
    except InputError as error:  # the rest of the analysis needs no model
        return str(error)
    policy = bundle.manifest.data
    if describe_data_policy(policy) != describe_data_policy(config.data):
        return (
            f"The champion of {name}, version {champion.number}, reads exports by another data "
            f"policy ({policy.name}; this analysis: {config.data.name})."
        )
    rows = as_scored(tickets.frame, config.data)
    seen = bundle.seen_tickets.match(rows)
    # a training ticket without an out-of-fold score would get its in-sample score
    scored = ~((seen["origin"] == OUT_OF_FOLD) & seen["probability"].isna()).to_numpy()
    if not scored.any():
        return f"Version {champion.number} of {name} has only in-sample scores of these tickets."
    decided = bundle.remember(tickets).decide(rows[scored])
    return ChampionScores(
        version=f"{name} version {champion.number} ({bundle.manifest.model_name})",
        scored=scored,
        probability=decided[PROBABILITY].to_numpy(dtype=float),
        origins={str(origin): int(n) for origin, n in decided[ORIGIN].value_counts().items()},
    )


def print_findings(analysis: Analysis) -> None:
    """Print the findings."""
    for finding in list_findings(analysis):
        print(f"{finding.topic}: {finding.text}")
    if isinstance(analysis.escalation, str):
        print(f"What the model adds: left out. {analysis.escalation}")
