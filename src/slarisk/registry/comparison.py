"""Compare a candidate with the rules and the champion on the same test tickets."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slarisk.config import CreationKind, DataPolicy, PromoteConfig, Resample, TrainConfig
from slarisk.errors import InputError
from slarisk.evaluation.baselines import BASELINE_WORDS, decide_baselines
from slarisk.model.bundle import ESCALATE, ORIGIN, PROBABILITY
from slarisk.model.checksums import write_checksums
from slarisk.model.seen_tickets import OUT_OF_FOLD, as_scored
from slarisk.registry.candidate import ComparisonContext
from slarisk.registry.card import say_saved
from slarisk.registry.gate import (
    FEWEST_DAYS,
    Comparison,
    Verdict,
    compare_losses,
    count_days,
    format_difference,
    list_challenge_reasons,
    list_loss_mismatches,
    list_value_reasons,
    measure_quality,
    refuse_few,
)
from slarisk.registry.models import fetch_version
from slarisk.registry.policy_differences import describe_policy, say_differences
from slarisk.registry.versions import FILES_TAG, Version
from slarisk.tickets.contract import take_facts
from slarisk.tracking.tags import DATA_TAG, POLICY_TAG, SPLIT_TAG

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.model.bundle import Manifest
    from slarisk.registry.candidate import Candidate


VERDICT_TAG, WHY_TAG = "verdict", "why"


def compare_candidate(
    candidate: Candidate, name: str, champion: Version | None, config: PromoteConfig
) -> Verdict:
    """Compare what the candidate loses on its test tickets with the rules and the champion.

    All figures are computed from the model's own decisions on the tickets as they are read now, and
    all intervals are those of ``config``. What the run logged is only checked against them.
    """
    grounds = candidate.grounds
    made_with, test = grounds.config, grounds.test
    losses, breach = _losses(candidate.decided, grounds), _breach(test)
    verdict = Verdict(list(candidate.reasons), list(candidate.notes), len(test), int(breach.sum()))
    verdict.loss = float(losses.sum())
    costs = grounds.test_costs
    baselines = decide_baselines(
        grounds.training, test, grounds.training_costs, costs, made_with.data.segments
    )
    for rule, escalate in baselines.items():
        verdict.rules[rule] = compare_losses(
            losses, costs.losses(breach, escalate), take_facts(test).day, config
        )
    best = verdict.rules[verdict.best_rule]
    verdict.notes.append(_say_intervals(best, test, config))
    verdict.reasons += refuse_few(breach, config.fewest_tickets, config.fewest_breaches)
    verdict.reasons += list_value_reasons(best, verdict.best_rule, config.clearly_beat_baseline)
    found = {f"baseline_{rule}_loss": each.rival_loss for rule, each in verdict.rules.items()}
    found |= {
        "expected_loss": verdict.loss,
        "best_baseline_loss": best.rival_loss,
        "value_over_baseline": best.rival_loss - verdict.loss,
    }
    verdict.reasons += list_loss_mismatches(found, candidate.run.metrics)
    if champion is not None:
        compare_with_champion(verdict, candidate, losses, name, champion, config)
    return verdict


def _say_intervals(best: Comparison, test: pd.DataFrame, config: PromoteConfig) -> str:
    """Say what the interval over the best rule is made of."""
    days = count_days(take_facts(test).day)
    words = f"{100 * config.confidence:g}% intervals from {config.bootstrap_draws:,} draws of "
    words += f"{days:,} days" if best.resampled is Resample.days else f"{len(test):,} tickets"
    if config.resample is Resample.widest and days >= FEWEST_DAYS:
        other = Resample.tickets if best.resampled is Resample.days else Resample.days
        words += f": wider than of {other.value}"
    elif config.resample is not Resample.tickets and days < FEWEST_DAYS:
        words += f": created on {days} days, too few to resample days (it takes {FEWEST_DAYS})"
    return f"{words}."


def compare_with_champion(
    verdict: Verdict,
    candidate: Candidate,
    losses: NDArray[np.float64],
    name: str,
    champion: Version,
    config: PromoteConfig,
) -> None:
    """Compare a candidate with the champion, on the test tickets that neither was trained on."""
    grounds, number = candidate.grounds, champion.number
    if champion.run_id == candidate.run.run_id:
        verdict.reasons.append(f"this run is the champion already, version {number}")
        return
    try:
        in_charge = fetch_version(name, champion)
    except InputError as error:
        verdict.reasons.append(
            f"the champion cannot be judged, so nobody can be compared with it. {error} "
            "action=rollback puts the version before it in charge"
        )
        return
    if reasons := list_policy_reasons(
        in_charge.manifest, grounds.config, config.allow_policy_change
    ):
        verdict.reasons += reasons
        return
    verdict.notes += describe_policy_changes(in_charge.manifest, grounds.config)
    test = as_scored(grounds.test, grounds.config.data)
    decided = in_charge.decide(test)
    untouched = (decided[ORIGIN] != OUT_OF_FOLD).to_numpy()
    common = int(untouched.sum())
    verdict.notes.append(
        f"Compared with version {number} on all {common:,} test tickets: it was trained on none."
        if common == len(test)
        else f"Compared with version {number} on {common:,} of the {len(test):,} test tickets: it "
        "was trained on the others."
    )
    breach = _breach(grounds.test)
    few = refuse_few(breach[untouched], config.fewest_tickets, config.fewest_breaches)
    if few and common < len(test):  # of all test tickets it has been said already
        verdict.reasons.append(
            f"the champion was trained on all but {common:,} of the {len(test):,} test tickets, "
            f"and {few[0]}. Train on an export with newer tickets"
        )
    if few:
        return
    theirs = _losses(decided, grounds)
    verdict.champion = compare_losses(
        losses[untouched],
        theirs[untouched],
        take_facts(grounds.test).day[untouched],
        config,
    )
    ours, other = (
        measure_quality(
            breach[untouched],
            each[PROBABILITY].to_numpy(dtype=float)[untouched],
            each[ESCALATE].to_numpy(dtype=bool)[untouched],
        )
        for each in (candidate.decided, decided)
    )
    verdict.quality = {key: (value, other[key]) for key, value in ours.items()}
    verdict.reasons += list_challenge_reasons(verdict.champion, config.margin)


def list_policy_reasons(champion: Manifest, made_with: TrainConfig, allowed: bool) -> list[str]:
    """Find reasons in policies that are not those of the champion.

    A change of policy must be allowed. Even then the champion must find, in the tickets of the
    candidate, the fields that it decides by.
    """
    ours, theirs = describe_policy(made_with), describe_policy(champion)
    if not allowed and ours != theirs:
        return [
            "the champion reads, labels or prices tickets by another policy: "
            f"{say_differences(ours, theirs)}. allow_policy_change=true judges both under this "
            "run's; another registered model can hold this one too: "
            "tracking.registered_model=<name>"
        ]
    lacking = [name for name in champion.required_fields() if name not in _fields(made_with.data)]
    if allowed and lacking:
        return [
            f"the champion decides by {', '.join(lacking)}, which the data policy of this run "
            f"({made_with.data.name}) does not have: it cannot be judged under it"
        ]
    return []


def describe_policy_changes(champion: Manifest, made_with: TrainConfig) -> list[str]:
    """Say aloud what differs between the policies of champion and candidate."""
    ours, theirs = describe_policy(made_with), describe_policy(champion)
    if ours == theirs:
        return []
    return [
        f"The champion was made under another policy: {say_differences(ours, theirs)}. Its "
        "decisions are judged as they stand, under the candidate's policy: "
        "allow_policy_change=true."
    ]


def _fields(data: DataPolicy) -> set[str]:
    imputed = data.creation.kind is CreationKind.imputed
    return {*data.columns} | ({"created_at"} if imputed else set())


def _losses(decided: pd.DataFrame, grounds: ComparisonContext) -> NDArray[np.float64]:
    return grounds.test_costs.losses(_breach(grounds.test), decided[ESCALATE].to_numpy(dtype=bool))


def _breach(tickets: pd.DataFrame) -> NDArray[np.bool_]:
    breach: NDArray[np.bool_] = tickets["breach"].to_numpy(dtype=bool)
    return breach


def explain_promotion(
    candidate: Candidate, verdict: Verdict, champion: Version | None, config: PromoteConfig
) -> str:
    """Say in a few sentences why a candidate takes charge."""
    rule = verdict.best_rule
    value = f"It saves {say_saved(verdict.rules[rule])} over the best rule ({BASELINE_WORDS[rule]})"
    on = f"on {verdict.tickets:,} held-out tickets"
    if champion is None or verdict.champion is None:
        words = f"{value} {on}; it is the first champion."
    else:
        compared = verdict.champion
        words = (
            f"Its loss beside version {champion.number}: {format_difference(compared)}, on "
            f"{compared.tickets:,} tickets neither was trained on"
            + (f"; the margin was {config.margin:g}" if config.margin else "")
            + f". {value} {on}."
        )
    return f"{words} {config.reason}" if config.reason else words


def promotion_tags(
    candidate: Candidate,
    verdict: Verdict,
    champion: Version | None,
    table: str,
    why: str,
    config: PromoteConfig,
) -> dict[str, str]:
    """Collect what the promotion rests on, as tags of the version; MLflow shows them in order."""
    run = candidate.run
    tags = {WHY_TAG: why, "promoted_at": datetime.now(UTC).isoformat(timespec="seconds")}
    if champion is not None and verdict.champion is not None:
        tags["replaced_version"] = champion.number
        tags["against_champion"] = (
            f"{format_difference(verdict.champion)} on {verdict.champion.tickets:,} tickets"
        )
    best = verdict.rules[verdict.best_rule]
    value, low, high = best.saved
    found = {
        "expected_loss": verdict.loss,
        "best_baseline_loss": best.rival_loss,
        "value_over_baseline": value,
        "value_over_baseline_low": low,
        "value_over_baseline_high": high,
    }
    tags |= {name: f"{amount:.10g}" for name, amount in found.items()}
    tags["intervals"] = (
        f"confidence={config.confidence:g} bootstrap_draws={config.bootstrap_draws} "
        f"seed={config.seed} resampled={best.resampled.value}"
    )
    for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG, "git_commit", "git_dirty"):
        tags[tag] = run.tags.get(tag, "")
    return tags | {VERDICT_TAG: table, FILES_TAG: write_checksums(candidate.seal)}
