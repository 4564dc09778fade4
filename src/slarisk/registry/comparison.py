"""Compare a candidate with the rules and the champion on the same test tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slarisk.config import CreationKind, PromoteConfig, Resample, TrainConfig
from slarisk.decisions.effect import make_effect
from slarisk.errors import InputError
from slarisk.evaluation.baselines import decide_baselines
from slarisk.model.bundle import ORIGIN, PROBABILITY
from slarisk.model.seen_tickets import OUT_OF_FOLD
from slarisk.registry.following import decide_test_tickets, find_escalation_ages
from slarisk.registry.gate import (
    FEWEST_DAYS,
    Comparison,
    GateResult,
    compare_losses,
    count_days,
    list_challenge_reasons,
    list_loss_mismatches,
    list_sample_size_reasons,
    list_value_reasons,
    measure_quality,
)
from slarisk.registry.models import fetch_version
from slarisk.registry.policy_differences import describe_policy, format_differences
from slarisk.tickets.contract import take_facts
from slarisk.tickets.fields import list_segments
from slarisk.training.priced import breach_labels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slarisk.decisions.timing import TimedCosts
    from slarisk.model.manifest import Manifest
    from slarisk.registry.candidate import Candidate
    from slarisk.registry.versions import Version


def compare_candidate(
    candidate: Candidate, name: str, champion: Version | None, config: PromoteConfig
) -> GateResult:
    """Compare the candidate's losses on its test tickets with the rules' and the champion's.

    All figures are computed from the model's own decisions on the tickets as they are read now, and
    all intervals are those of ``config``. What the run logged is only checked against them.
    """
    context, costs = candidate.context, candidate.context.test_costs
    breach = breach_labels(context.test)
    baselines = decide_baselines(
        context.training,
        context.test,
        context.training_costs,
        costs,
        list_segments(context.config.data),
        make_effect(context.config.cost),
    )
    timed = baselines.timed
    ages = find_escalation_ages(candidate.bundle, context, candidate.decided, timed)
    losses = timed.losses(breach, ages)
    day = take_facts(context.test, context.config.data).day
    result = GateResult(
        list(candidate.reasons),
        list(candidate.notes),
        len(breach),
        int(breach.sum()),
        float(losses.sum()),
    )
    result.rules = {
        rule: compare_losses(losses, lost, day, config)
        for rule, lost in baselines.losses(breach).items()
    }
    best = result.rules[result.best_rule]
    result.notes.append(_describe_intervals(best, day, config))
    result.reasons += list_sample_size_reasons(breach, config)
    result.reasons += list_value_reasons(best, result.best_rule, config.clearly_beat_baseline)
    computed = {f"baseline_{rule}_loss": each.rival_loss for rule, each in result.rules.items()}
    computed |= {
        "expected_loss": result.loss,
        "best_baseline_loss": best.rival_loss,
        "value_over_baseline": best.rival_loss - result.loss,
    }
    result.reasons += list_loss_mismatches(computed, candidate.run.metrics)
    if champion is not None:
        compare_with_champion(result, candidate, ages, timed, name, champion, config)
    return result


def _describe_intervals(best: Comparison, day: NDArray[np.int64], config: PromoteConfig) -> str:
    """Say how the interval over the best rule was drawn."""
    days, by_days = count_days(day), best.resampled is Resample.days
    unit = f"{days:,} days" if by_days else f"{len(day):,} tickets"
    words = (
        f"{100 * config.confidence:g}% intervals from {config.bootstrap_draws:,} draws of {unit}"
    )
    if config.resample is Resample.widest and days >= FEWEST_DAYS:
        words += f": wider than of {'tickets' if by_days else 'days'}"
    elif config.resample is not Resample.tickets and days < FEWEST_DAYS:
        words += f": created on {days} days, too few to resample days (it takes {FEWEST_DAYS})"
    return f"{words}."


def compare_with_champion(
    result: GateResult,
    candidate: Candidate,
    ages: NDArray[np.float64],
    timed: TimedCosts,
    name: str,
    champion: Version,
    config: PromoteConfig,
) -> None:
    """Add to a result the comparison on test tickets that the champion was not trained on.

    ``ages`` are those at which the candidate escalates.
    """
    context, number = candidate.context, champion.number
    if champion.run_id == candidate.run.run_id:
        result.reasons.append(f"this run is the champion already, version {number}")
        return
    try:
        bundle = fetch_version(name, champion)
    except InputError as error:
        result.reasons.append(
            f"no run can be compared with the champion, version {number}. {error} "
            "action=rollback puts the version before it in charge"
        )
        return
    reasons = list_policy_reasons(bundle.manifest, context.config, config.allow_policy_change)
    if reasons:
        result.reasons += reasons
        return
    if differences := find_policy_differences(bundle.manifest, context.config):
        result.notes.append(
            f"The champion was made under another policy: {differences}. Its decisions are "
            "compared as they stand, under the candidate's policy: allow_policy_change=true."
        )
    decided = decide_test_tickets(bundle, context)
    untouched = (decided[ORIGIN] != OUT_OF_FOLD).to_numpy()
    common, total = int(untouched.sum()), len(untouched)
    result.notes.append(
        f"Compared with version {number} on all {common:,} test tickets: it was trained on none."
        if common == total
        else f"Compared with version {number} on {common:,} of the {total:,} test tickets: it "
        "was trained on the others."
    )
    breach = breach_labels(context.test)[untouched]
    if too_few := list_sample_size_reasons(breach, config):
        if common < total:  # of all test tickets there is a reason already
            result.reasons.append(
                f"the champion was trained on all but {common:,} of the {total:,} test tickets, "
                f"and {too_few[0]}. Train on an export with newer tickets"
            )
        return
    common_timed = timed.take(untouched)
    both = (
        (candidate.decided, ages),
        (decided, find_escalation_ages(bundle, context, decided, timed)),
    )
    ours, theirs = (common_timed.losses(breach, at[untouched]) for _, at in both)
    day = take_facts(context.test, context.config.data).day[untouched]
    result.champion = compare_losses(ours, theirs, day, config)
    good, other = (
        measure_quality(
            breach,
            each[PROBABILITY].to_numpy(dtype=float)[untouched],
            (at < timed.times.open_hours)[untouched],
        )
        for each, at in both
    )
    result.quality = {metric: (value, other[metric]) for metric, value in good.items()}
    result.reasons += list_challenge_reasons(result.champion, config.margin)


def find_policy_differences(champion: Manifest, config: TrainConfig) -> str:
    """Name the config keys in which the policies of a run and the champion differ."""
    return format_differences(describe_policy(config), describe_policy(champion))


def list_policy_reasons(champion: Manifest, config: TrainConfig, allowed: bool) -> list[str]:
    """List reasons in policies of the run that differ from the champion's.

    Even where a change is allowed, the tickets of the candidate must have the fields that the
    champion decides by.
    """
    if not allowed:
        differences = find_policy_differences(champion, config)
        if not differences:
            return []
        return [
            f"the champion reads, labels or prices tickets by another policy: {differences}. "
            "allow_policy_change=true compares both under this run's; another registered model can "
            "hold this one too: tracking.registered_model=<name>"
        ]
    imputed = config.data.creation.kind is CreationKind.imputed
    fields = {*config.data.columns} | ({"created_at"} if imputed else set())
    lacking = [name for name in champion.required_fields() if name not in fields]
    if not lacking:
        return []
    return [
        f"the champion decides by {', '.join(lacking)}, which the data policy of this run "
        f"({config.data.name}) does not have: it cannot be compared under it"
    ]
