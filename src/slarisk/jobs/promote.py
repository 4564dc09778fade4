"""``python promote.py``: from the best run, through the gate, to the registry."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slarisk.config import (
    CreationKind,
    DataPolicy,
    DecisionKind,
    PromoteAction,
    PromoteConfig,
    Resample,
    TrainConfig,
)
from slarisk.errors import InputError, Refused
from slarisk.evaluation.checks.check import Verdict as CheckVerdict
from slarisk.evaluation.checks.check import list_codes
from slarisk.evaluation.gate import (
    FEWEST_DAYS,
    Comparison,
    Verdict,
    compare_losses,
    count_days,
    measure_quality,
    refuse_challenge,
    refuse_few,
    refuse_other_losses,
    refuse_record,
    refuse_run,
    refuse_value,
    say_difference,
)
from slarisk.evaluation.metrics import OUT_OF_FOLD_METRICS
from slarisk.jobs.train import fingerprint_grounds, judge_baselines
from slarisk.learning.splits import hold_out
from slarisk.scoring.bundle import ESCALATE, ORIGIN, PROBABILITY
from slarisk.scoring.memory import OUT_OF_FOLD, TEST
from slarisk.scoring.seal import write_seal
from slarisk.tickets.contract import take_facts
from slarisk.tickets.labels import prepare_tickets
from slarisk.tracking.card import Grounds, say_saved, tabulate, write_card
from slarisk.tracking.choice import choose_run, require_direction
from slarisk.tracking.policies import (
    describe_policy,
    say_differences,
)
from slarisk.tracking.registry import (
    FILES_TAG,
    RunRecord,
    Version,
    fetch_bundle,
    fetch_config,
    fetch_seal,
    fetch_text,
    fetch_version,
    find_champion,
    find_run,
    read_seal,
    require_champion,
    run_model_uri,
)
from slarisk.tracking.report import (
    CHECKS_FILE,
    DATA_TAG,
    POLICY_TAG,
    SPLIT_TAG,
    read_checks,
)
from slarisk.tracking.store import open_store
from slarisk.tracking.succession import (
    Overtaken,
    find_return,
    in_turn,
    look,
    roll_back,
    say_time,
    settle,
    take_charge,
)
from slarisk.tracking.summary import BASELINE_WORDS
from slarisk.tracking.sweeps import TUNING_TAG, Tuning

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.scoring.bundle import Bundle, Manifest

VERDICT_TAG, WHY_TAG = "verdict", "why"
_ATTEMPTS = 20  # how often a promotion is judged anew because another one came first


def promote(config: PromoteConfig) -> None:
    """Put the best run, or the one named, in charge, if the gate lets it.

    Raises
    ------
    Refused
        With every reason; nothing was changed.
    InputError
        There is no such run, or its data cannot be read again.
    """
    require_direction(config.select_by)
    experiment = open_store(config.tracking)
    name = config.tracking.registered_model
    match config.action:
        case PromoteAction.status:
            print(tell_champion(name))
        case PromoteAction.history:
            print(tell_history(name))
        case PromoteAction.rollback:
            return_to_former(name, config)
        case PromoteAction.promote:
            run, words = take_run(name, experiment, config)
            promote_run(name, run, config, words)


def take_run(name: str, experiment: str, config: PromoteConfig) -> tuple[RunRecord, str]:
    """Take the run that is named, or the best under the champion's policy; say how it was had."""
    if config.run_id:
        return find_run(config.run_id), ""
    if config.select_by not in OUT_OF_FOLD_METRICS:
        print(
            f"select_by={config.select_by} is measured on the test tickets, which then choose the "
            "candidate and judge it: of many runs a lucky one wins, and its figures flatter it.",
            file=sys.stderr,
        )
    champion = find_champion(name)
    chosen = choose_run(
        experiment, config.select_by, read_policy(name, champion) if champion else None
    )
    return chosen.run, chosen.words


def read_policy(name: str, champion: Version) -> Mapping[str, object]:
    """Read the policy that the champion was made under."""
    try:
        return describe_policy(fetch_config(champion.run_id))
    except InputError:  # its run is gone, or of another version; the model carries its policies
        return describe_policy(fetch_version(name, champion).manifest)


def promote_run(name: str, run: RunRecord, config: PromoteConfig, words: str = "") -> None:
    """Judge a run against the champion that it would replace, and put it in charge if it may be.

    ``words`` say how the run was chosen.
    """
    print(f"candidate: {run.name} (run {run.run_id})")
    if words:
        print(words)
    candidate = read_candidate(run)
    with in_turn(print) as alone:
        for _ in range(_ATTEMPTS):
            standing = look(name) if config.dry_run else settle(name, alone)
            champion = standing.champion
            verdict = judge(candidate, name, champion, config)
            table = tabulate(verdict, standing.in_charge)
            print("\n".join([*verdict.notes, table]))
            if verdict.reasons:
                raise _refusal(verdict.reasons)
            place = f"in place of version {champion.number}" if champion else "the first champion"
            if config.dry_run:
                print(f"\nWould be promoted, {place}. Nothing was changed: dry_run=true.")
                return
            why = say_why(candidate, verdict, champion, config)
            tags = evidence(candidate, verdict, champion, table, why, config)
            card = write_card(
                run, candidate.grounds, candidate.bundle.manifest, verdict, table, why
            )
            try:
                version = take_charge(name, run, tags, card, why, standing)
            except Overtaken:
                print("\nAnother promotion came first. Judged again, against the new champion:")
                continue
            print(f"\nPromoted: {name} version {version.number}, {place}.")
            return
    raise Refused(f"Not promoted: others came first, {_ATTEMPTS} times in a row.")


def _refusal(reasons: list[str]) -> Refused:
    return Refused("\nNot promoted:\n" + "\n".join(f"  - {reason}" for reason in reasons))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A run that may be judged: its model, unchanged, and what it decides about its test tickets.

    ``reasons`` against a promotion are those that lie in the run itself, and so do the ``notes``.
    """

    run: RunRecord
    grounds: Grounds
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
    if reasons := refuse_record(run.status, run.metrics):
        raise _refusal(reasons)
    grounds, changed = read_grounds(run)
    reasons = refuse_run(
        run.tags,
        grounds.config.decision.name is DecisionKind.grid,
        list_codes(grounds.checks, CheckVerdict.failed),
    )
    if changed:
        reasons.append(
            f"{grounds.config.data.path} is no longer what the run was trained on "
            f"(it has another {', '.join(changed)}): train again"
        )
        raise _refusal(reasons)
    try:
        seal = fetch_seal(run)
        bundle = fetch_bundle(run_model_uri(run.run_id), seal)
    except InputError as error:
        raise _refusal([*reasons, str(error).rstrip(".")]) from error
    decided = bundle.decide(as_scored(grounds.test, grounds.config.data))
    if (decided[ORIGIN] != TEST).any():
        reasons.append("the stored model is of another run: it knows another test set")
        raise _refusal(reasons)
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


def read_grounds(run: RunRecord) -> tuple[Grounds, list[str]]:
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
    return Grounds(made_with, tickets, training, test, checks, *prices), changed


def judge(
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
    baselines = judge_baselines(grounds.training, test, grounds.training_costs, costs, made_with)
    for rule, escalate in baselines.items():
        verdict.rules[rule] = compare_losses(
            losses, costs.losses(breach, escalate), take_facts(test).day, config
        )
    best = verdict.rules[verdict.best_rule]
    verdict.notes.append(_say_intervals(best, test, config))
    verdict.reasons += refuse_few(breach, config.fewest_tickets, config.fewest_breaches)
    verdict.reasons += refuse_value(best, verdict.best_rule, config.clearly_beat_baseline)
    found = {f"baseline_{rule}_loss": each.rival_loss for rule, each in verdict.rules.items()}
    found |= {
        "expected_loss": verdict.loss,
        "best_baseline_loss": best.rival_loss,
        "value_over_baseline": best.rival_loss - verdict.loss,
    }
    verdict.reasons += refuse_other_losses(found, candidate.run.metrics)
    if champion is not None:
        challenge(verdict, candidate, losses, name, champion, config)
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


def challenge(
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
    if reasons := refuse_policy(in_charge.manifest, grounds.config, config.allow_policy_change):
        verdict.reasons += reasons
        return
    verdict.notes += note_policy(in_charge.manifest, grounds.config)
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
    verdict.reasons += refuse_challenge(verdict.champion, config.margin)


def refuse_policy(champion: Manifest, made_with: TrainConfig, allowed: bool) -> list[str]:
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


def note_policy(champion: Manifest, made_with: TrainConfig) -> list[str]:
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


def _losses(decided: pd.DataFrame, grounds: Grounds) -> NDArray[np.float64]:
    return grounds.test_costs.losses(_breach(grounds.test), decided[ESCALATE].to_numpy(dtype=bool))


def _breach(tickets: pd.DataFrame) -> NDArray[np.bool_]:
    breach: NDArray[np.bool_] = tickets["breach"].to_numpy(dtype=bool)
    return breach


def as_scored(tickets: pd.DataFrame, data: DataPolicy) -> pd.DataFrame:
    """Take from labelled tickets what imputation added: the model must find it itself."""
    if data.creation.kind is CreationKind.imputed:
        return tickets.drop(columns="created_at")
    return tickets


def say_why(
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
            f"Its loss beside version {champion.number}: {say_difference(compared)}, on "
            f"{compared.tickets:,} tickets neither was trained on"
            + (f"; the margin was {config.margin:g}" if config.margin else "")
            + f". {value} {on}."
        )
    return f"{words} {config.reason}" if config.reason else words


def evidence(
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
            f"{say_difference(verdict.champion)} on {verdict.champion.tickets:,} tickets"
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
    return tags | {VERDICT_TAG: table, FILES_TAG: write_seal(candidate.seal)}


def return_to_former(name: str, config: PromoteConfig) -> None:
    """Put the version before the champion back in charge."""
    if config.dry_run:
        old, former = find_return(name, look(name))
        print(
            f"{name}: version {former.number} would be champion again (now {old.number}). Nothing "
            "was changed: dry_run=true."
        )
        return
    with in_turn(print) as alone:
        why = config.reason or "no reason given"
        old, former = roll_back(name, why, settle(name, alone))
    print(f"{name}: champion is version {former.number} again (was {old.number}).")


def tell_champion(name: str) -> str:
    """Say which version is in charge, what it was promoted on, and that its files are unchanged."""
    champion = require_champion(name)
    standing = look(name)
    fetch_version(name, champion)
    run = find_run(champion.run_id)
    since = [each.at for each in standing.settled_changes if each.new == champion.number]
    former = standing.before(champion.number)
    lines = [
        f"{name}: the champion is version {champion.number}, {run.name} (run {run.run_id})",
        f"in charge since {say_time(since[-1])}" if since else "in charge",
        champion.tags.get(WHY_TAG, ""),
        champion.tags.get(VERDICT_TAG, ""),
        f"its {len(read_seal(champion))} files are those that were registered",
        f"action=rollback would return to version {former}" if former else "",
    ]
    return "\n".join(filter(None, lines))


def tell_history(name: str) -> str:
    """Say who replaced whom, when and why, the latest first."""
    changes = look(name).settled_changes
    if not changes:
        return f"{name}: nobody has been in charge yet."
    lines = []
    for change in reversed(changes):
        new = f"version {change.new}" if change.new else "no version"
        place = f" in place of version {change.old}" if change.old else ""
        lines.append(f"{say_time(change.at)}  {new}{place}: {change.action} by {change.by}")
        lines.append(f"    {change.why}")
    return "\n".join(lines)
