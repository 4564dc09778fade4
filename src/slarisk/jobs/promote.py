"""``python promote.py``: from the best run, through the gate, to the registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from slarisk.config import CreationKind, DataPolicy, PromoteAction, PromoteConfig, TrainConfig
from slarisk.errors import InputError, Refused
from slarisk.evaluation.gate import (
    Verdict,
    compare_losses,
    measure_quality,
    refuse_challenge,
    refuse_other_losses,
    refuse_record,
    refuse_run,
    refuse_value,
    say_difference,
)
from slarisk.jobs.command import check_bootstrap
from slarisk.jobs.train import fingerprint_grounds, judge_baselines
from slarisk.learning.splits import hold_out
from slarisk.scoring.bundle import ESCALATE, ORIGIN, PROBABILITY
from slarisk.scoring.memory import OUT_OF_FOLD, TEST
from slarisk.scoring.seal import write_seal
from slarisk.tickets.labels import fingerprint_policy, prepare_tickets
from slarisk.tracking.card import Grounds, tabulate, write_card
from slarisk.tracking.registry import (
    FILES_TAG,
    RunRecord,
    Version,
    fetch_bundle,
    fetch_config,
    fetch_seal,
    fetch_text,
    fetch_version,
    find_best_run,
    find_run,
    read_seal,
    require_champion,
    run_model_uri,
)
from slarisk.tracking.report import (
    BASELINE_TAG,
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
    settle,
    take_charge,
)
from slarisk.tracking.summary import BASELINE_WORDS, say_interval

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.scoring.bundle import Bundle, Manifest

VERDICT_TAG, WHY_TAG = "verdict", "why"
# Of the metrics those that a list of versions should show; the others are in the verdict.
_SHOWN = (
    "expected_loss",
    "best_baseline_loss",
    "value_over_baseline",
    "value_over_baseline_low",
    "value_over_baseline_high",
)
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
    check_bootstrap("", config.bootstrap_draws, config.confidence, config.seed)
    if config.fewest_tickets < 1:
        raise InputError(f"fewest_tickets={config.fewest_tickets}: must be at least 1.")
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
            found = find_run(config.run_id) if config.run_id else None
            promote_run(name, found or find_best_run(experiment, config.select_by), config)


def promote_run(name: str, run: RunRecord, config: PromoteConfig) -> None:
    """Judge a run against the champion that it would replace, and put it in charge if it may be."""
    print(f"candidate: {run.name} (run {run.run_id})")
    candidate = read_candidate(run, config)
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
            tags = evidence(candidate, verdict, champion, table, why)
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

    ``reasons`` against a promotion are those that lie in the run itself.
    """

    run: RunRecord
    grounds: Grounds
    bundle: Bundle
    seal: dict[str, str]
    decided: pd.DataFrame
    reasons: list[str]


def read_candidate(run: RunRecord, config: PromoteConfig) -> Candidate:
    """Read a run's data and model again, and let the model decide about the test tickets.

    Raises
    ------
    Refused
        There is no model that could be judged on the tickets of its run.
    """
    if reasons := refuse_record(run.status, run.metrics):
        raise _refusal(reasons)
    reasons = refuse_run(run.tags)
    reasons += refuse_value(
        run.metrics, run.tags.get(BASELINE_TAG, "?"), config.clearly_beat_baseline
    )
    grounds, changed = read_grounds(run)
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
    return Candidate(run, grounds, bundle, seal, decided, reasons)


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
    """Compare what the candidate loses on its test tickets with the rules and the champion."""
    run, grounds = candidate.run, candidate.grounds
    made_with, test = grounds.config, grounds.test
    losses = _losses(candidate.decided, grounds)
    verdict = Verdict(list(candidate.reasons), [], len(test), int(test["breach"].sum()))
    verdict.loss = float(losses.sum())
    evaluation = made_with.evaluation
    breach, costs = test["breach"].to_numpy(dtype=bool), grounds.test_costs
    baselines = judge_baselines(grounds.training, test, grounds.training_costs, costs, made_with)
    for rule, escalate in baselines.items():
        verdict.rules[rule] = compare_losses(
            losses,
            costs.losses(breach, escalate),
            evaluation.bootstrap_draws,
            evaluation.confidence,
            evaluation.seed,
        )
    found = {f"rule {rule!r}": each.rival_loss for rule, each in verdict.rules.items()}
    logged = {f"rule {rule!r}": run.metrics[f"baseline_{rule}_loss"] for rule in verdict.rules}
    found["stored model"], logged["stored model"] = verdict.loss, run.metrics["expected_loss"]
    verdict.reasons += refuse_other_losses(found, logged)
    if champion is not None:
        challenge(verdict, candidate, losses, name, champion, config)
    return verdict


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
    if common < config.fewest_tickets:
        verdict.reasons.append(
            f"the champion was trained on all but {common:,} of the {len(test):,} test tickets: "
            f"too few to compare the two (fewest_tickets={config.fewest_tickets}). Train on an "
            "export with newer tickets"
        )
        return
    theirs = _losses(decided, grounds)
    verdict.champion = compare_losses(
        losses[untouched],
        theirs[untouched],
        config.bootstrap_draws,
        config.confidence,
        config.seed,
    )
    ours, other = (
        measure_quality(
            grounds.test["breach"].to_numpy(dtype=bool)[untouched],
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
    reasons = []
    how = (
        "allow_policy_change=true judges both under this run's; another registered model can hold "
        "this one too: tracking.registered_model=<name>"
    )
    if not allowed and policy_meaning(champion.data) != policy_meaning(made_with.data):
        reasons.append(
            f"the champion reads exports by another data policy ({champion.data.name}; this run: "
            f"{made_with.data.name}). {how}"
        )
    if not allowed and _pricing(champion) != _pricing(made_with):
        reasons.append(
            f"the champion was judged under other costs or labels (sla={champion.sla.name}, "
            f"cost={champion.cost.name}; this run: sla={made_with.sla.name}, "
            f"cost={made_with.cost.name}). {how}"
        )
    lacking = [name for name in champion.required_fields() if name not in _fields(made_with.data)]
    if allowed and lacking:
        reasons.append(
            f"the champion decides by {', '.join(lacking)}, which the data policy of this run "
            f"({made_with.data.name}) does not have: it cannot be judged under it"
        )
    return reasons


def note_policy(champion: Manifest, made_with: TrainConfig) -> list[str]:
    """Say aloud what differs between the policies of champion and candidate."""
    differ = []
    if policy_meaning(champion.data) != policy_meaning(made_with.data):
        differ.append(f"data ({champion.data.name}, now {made_with.data.name})")
    if _pricing(champion) != _pricing(made_with):
        was = f"sla={champion.sla.name} cost={champion.cost.name}"
        now = f"sla={made_with.sla.name} cost={made_with.cost.name}"
        differ.append(f"costs or labels ({was}, now {now})")
    if not differ:
        return []
    return [
        f"The champion was made under other policies: {'; '.join(differ)}. Its decisions are "
        "judged as they stand, under the candidate's policies: allow_policy_change=true."
    ]


def policy_meaning(data: DataPolicy) -> tuple[object, ...]:
    """What a data policy makes of an export, wherever the file lies and however it is written."""
    return data.columns, data.values, data.events, data.creation


def _pricing(policy: Manifest | TrainConfig) -> tuple[object, ...]:
    """What a ticket's label and prices rest on."""
    data = policy.data
    return fingerprint_policy(policy.sla, policy.cost), data.label, data.costs


def _fields(data: DataPolicy) -> set[str]:
    imputed = data.creation.kind is CreationKind.imputed
    return {*data.columns} | ({"created_at"} if imputed else set())


def _losses(decided: pd.DataFrame, grounds: Grounds) -> NDArray[np.float64]:
    return grounds.test_costs.losses(
        grounds.test["breach"].to_numpy(dtype=bool), decided[ESCALATE].to_numpy(dtype=bool)
    )


def as_scored(tickets: pd.DataFrame, data: DataPolicy) -> pd.DataFrame:
    """Take from labelled tickets what imputation added: the model must find it itself."""
    if data.creation.kind is CreationKind.imputed:
        return tickets.drop(columns="created_at")
    return tickets


def say_why(
    candidate: Candidate, verdict: Verdict, champion: Version | None, config: PromoteConfig
) -> str:
    """Say in a few sentences why a candidate takes charge."""
    metrics = candidate.run.metrics
    rule = BASELINE_WORDS[candidate.run.tags[BASELINE_TAG]]
    value = f"It saves {say_interval(metrics, 'value_over_baseline')} over the best rule ({rule})"
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
    candidate: Candidate, verdict: Verdict, champion: Version | None, table: str, why: str
) -> dict[str, str]:
    """Collect what the promotion rests on, as tags of the version; MLflow shows them in order."""
    run = candidate.run
    tags = {WHY_TAG: why, "promoted_at": datetime.now(UTC).isoformat(timespec="seconds")}
    if champion is not None and verdict.champion is not None:
        tags["replaced_version"] = champion.number
        tags["against_champion"] = (
            f"{say_difference(verdict.champion)} on {verdict.champion.tickets:,} tickets"
        )
    tags |= {key: f"{run.metrics[key]:.10g}" for key in _SHOWN}
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


def say_time(at: str) -> str:
    """Write a time in UTC, to the minute."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
