"""A candidate for promotion: its run, its model, and its test tickets read again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slarisk.checks.check import Verdict, list_codes, read_checks
from slarisk.decisions.policies import find_policy
from slarisk.errors import InputError, Refused
from slarisk.learning.splits import hold_out_tickets
from slarisk.model.bundle import ORIGIN
from slarisk.model.seen_tickets import TEST
from slarisk.registry.following import ComparisonContext, decide_test_tickets
from slarisk.registry.gate import list_record_reasons, list_run_reasons
from slarisk.registry.models import fetch_bundle, fetch_checksums
from slarisk.tickets.prepare import prepare_tickets
from slarisk.tracking.runs import RunRecord, fetch_config, fetch_text, run_model_uri
from slarisk.tracking.tags import CHECKS_FILE, TUNING_TAG, Tuning
from slarisk.training.fingerprints import fingerprint_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from slarisk.model.bundle import Bundle


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run whose model is as it was logged, with its decisions about the run's test tickets.

    ``reasons`` against a promotion, and ``notes``, are those that lie in the run itself.
    """

    run: RunRecord
    context: ComparisonContext
    bundle: Bundle
    checksums: dict[str, str]
    decided: pd.DataFrame
    reasons: list[str]
    notes: list[str]


def load_candidate(run: RunRecord, accepted: Mapping[str, str]) -> Candidate:
    """Read a run's data and model again, and let the model decide about the test tickets.

    ``accepted`` names failed checks that are accepted, each with a reason.

    Raises
    ------
    Refused
        The run has no model that could be compared on its tickets.
    InputError
        The config or the data of the run cannot be read.
    """
    if reasons := list_record_reasons(run.status, run.metrics):
        raise make_refusal(reasons)
    context, changed = load_context(run)
    reasons = list_run_reasons(
        run.tags,
        find_policy(context.config.decision).optimistic,
        list_codes(context.checks, Verdict.failed),
        accepted,
    )
    if changed:
        reasons.append(
            f"{context.config.data.path} is no longer what the run was trained on "
            f"(it has another {', '.join(changed)}): train again"
        )
        raise make_refusal(reasons)
    try:
        checksums = fetch_checksums(run)
        bundle = fetch_bundle(run_model_uri(run), checksums)
    except InputError as error:
        raise make_refusal([*reasons, str(error).rstrip(".")]) from error
    decided = decide_test_tickets(bundle, context)
    if (decided[ORIGIN] != TEST).any():
        reasons.append("the stored model is of another run: it knows another test set")
        raise make_refusal(reasons)
    notes = [f"Failed check {code} is accepted: {why}" for code, why in accepted.items()]
    return Candidate(run, context, bundle, checksums, decided, reasons, [*notes, *note_tuning(run)])


def make_refusal(reasons: list[str]) -> Refused:
    """Make the error that lists why a run is not promoted."""
    return Refused("\nNot promoted:\n" + "\n".join(f"  - {reason}" for reason in reasons))


def note_tuning(run: RunRecord) -> list[str]:
    """Note that the search which tuned a run found no gain over the default parameters."""
    tuning = run.tags.get(TUNING_TAG)
    if tuning in {None, *(each.value for each in Tuning if each.pays)}:
        return []
    return [
        "The parameters of this run come from a search that found them no better than the default "
        f"parameters (tuning={tuning}). It is compared because it was named."
    ]


def load_context(run: RunRecord) -> tuple[ComparisonContext, list[str]]:
    """Read the tickets of a run again; also name the fingerprints that differ from the run's."""
    config = fetch_config(run.run_id)
    # a champion may look at open tickets, whatever this run does
    tickets = prepare_tickets(
        config.data, config.sla, config.cost, config.max_rejected, config.data.events is not None
    )
    tickets, held_out = hold_out_tickets(tickets, config.data, config.split)
    fingerprints = fingerprint_inputs(config, tickets, held_out)
    changed = [tag for tag, value in fingerprints.items() if run.tags.get(tag) != value]
    training, test = (
        tickets.frame.iloc[rows].reset_index(drop=True) for rows in (held_out.train, held_out.test)
    )
    costs = [tickets.costs.take(rows) for rows in (held_out.train, held_out.test)]
    checks = read_checks(fetch_text(run.run_id, CHECKS_FILE) or "code,check,verdict,detail")
    context = ComparisonContext(
        config, tickets, training, test, checks, costs[0], costs[1], held_out
    )
    return context, changed
