"""A candidate for promotion: its run, its model, and its test tickets read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slarisk.checks.check import Verdict as CheckVerdict
from slarisk.checks.check import list_codes, read_checks
from slarisk.config import DecisionKind
from slarisk.errors import InputError, Refused
from slarisk.learning.splits import hold_out
from slarisk.model.bundle import ORIGIN
from slarisk.model.seen_tickets import TEST, as_scored
from slarisk.registry.gate import list_record_reasons, list_run_reasons
from slarisk.registry.models import fetch_bundle, fetch_checksums
from slarisk.tickets.labels import prepare_tickets
from slarisk.tracking.runs import RunRecord, fetch_config, fetch_text, run_model_uri
from slarisk.tracking.tags import CHECKS_FILE, TUNING_TAG, Tuning
from slarisk.training.fingerprints import fingerprint_grounds

if TYPE_CHECKING:
    import pandas as pd

    from slarisk.checks.check import Check
    from slarisk.config import TrainConfig
    from slarisk.decisions.costs import CostMatrix
    from slarisk.model.bundle import Bundle
    from slarisk.tickets.labels import LabelledTickets


@dataclass(frozen=True, eq=False)
class ComparisonContext:
    """What a run was made with, and the tickets that it was trained and tested on."""

    config: TrainConfig
    tickets: LabelledTickets
    training: pd.DataFrame
    test: pd.DataFrame
    checks: list[Check]
    training_costs: CostMatrix
    test_costs: CostMatrix


def make_refusal(reasons: list[str]) -> Refused:
    return Refused("\nNot promoted:\n" + "\n".join(f"  - {reason}" for reason in reasons))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run that may be judged: its model, unchanged, and what it decides about its test tickets.

    ``reasons`` against a promotion are those that lie in the run itself, and so do the ``notes``.
    """

    run: RunRecord
    grounds: ComparisonContext
    bundle: Bundle
    seal: dict[str, str]
    decided: pd.DataFrame
    reasons: list[str]
    notes: list[str]


def read_candidate(run: RunRecord) -> Candidate:
    """Read a run's data and model again, and let the model decide about the test tickets.

    Raises
    ------
    Refused
        There is no model that could be judged on the tickets of its run.
    """
    if reasons := list_record_reasons(run.status, run.metrics):
        raise make_refusal(reasons)
    grounds, changed = read_grounds(run)
    reasons = list_run_reasons(
        run.tags,
        grounds.config.decision.name is DecisionKind.grid,
        list_codes(grounds.checks, CheckVerdict.failed),
    )
    if changed:
        reasons.append(
            f"{grounds.config.data.path} is no longer what the run was trained on "
            f"(it has another {', '.join(changed)}): train again"
        )
        raise make_refusal(reasons)
    try:
        seal = fetch_checksums(run)
        bundle = fetch_bundle(run_model_uri(run.run_id), seal)
    except InputError as error:
        raise make_refusal([*reasons, str(error).rstrip(".")]) from error
    decided = bundle.decide(as_scored(grounds.test, grounds.config.data))
    if (decided[ORIGIN] != TEST).any():
        reasons.append("the stored model is of another run: it knows another test set")
        raise make_refusal(reasons)
    return Candidate(run, grounds, bundle, seal, decided, reasons, note_tuning(run))


def note_tuning(run: RunRecord) -> list[str]:
    """Say so if the search that tuned a run found that tuning does not pay."""
    found = run.tags.get(TUNING_TAG)
    if found in {None, *(each.value for each in Tuning if each.pays)}:
        return []
    return [
        "The parameters of this run come from a search that found them no better than the default "
        f"parameters (tuning={found}). It is judged because it was named."
    ]


def read_grounds(run: RunRecord) -> tuple[ComparisonContext, list[str]]:
    """Read the tickets of a run again; say which fingerprints are not those of the run."""
    made_with = fetch_config(run.run_id)
    tickets = prepare_tickets(made_with.data, made_with.sla, made_with.cost)
    held_out = hold_out(tickets.frame, made_with.split)
    found = fingerprint_grounds(made_with, tickets, held_out)
    training, test = (
        tickets.frame.iloc[rows].reset_index(drop=True) for rows in (held_out.train, held_out.test)
    )
    changed = [tag for tag, value in found.items() if run.tags.get(tag) != value]
    checks = read_checks(fetch_text(run.run_id, CHECKS_FILE) or "code,check,verdict,detail")
    prices = (tickets.costs.take(rows) for rows in (held_out.train, held_out.test))
    return ComparisonContext(made_with, tickets, training, test, checks, *prices), changed
