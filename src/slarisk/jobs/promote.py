"""``python promote.py``: from the best run, through the gate, to the registry."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import CreationKind, DataPolicy, PromoteAction, PromoteConfig, TrainConfig
from slarisk.decisions.costs import dollars
from slarisk.errors import InputError, Refused
from slarisk.evaluation.gate import (
    EVIDENCE,
    Comparison,
    compare_losses,
    refuse_challenge,
    refuse_record,
    refuse_run,
    refuse_value,
)
from slarisk.jobs.command import check_bootstrap
from slarisk.jobs.train import fingerprint_grounds, price
from slarisk.learning.splits import hold_out
from slarisk.scoring.bundle import ESCALATE, ORIGIN, OUT_OF_FOLD, TEST
from slarisk.tickets.labels import prepare_tickets
from slarisk.tracking.registry import (
    RunRecord,
    Version,
    fetch_bundle,
    fetch_config,
    find_best_run,
    find_champion,
    find_run,
    register_champion,
    require_champion,
    roll_back,
    run_model_uri,
    version_uri,
)
from slarisk.tracking.report import BASELINE_TAG, DATA_TAG, DESCRIPTION_TAG, POLICY_TAG, SPLIT_TAG
from slarisk.tracking.store import open_store
from slarisk.tracking.summary import BASELINE_WORDS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

_SAME_LOSS = 1e-9  # relative: the sum of the same dollars in another order


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
    experiment = open_store(config.tracking)
    name = config.tracking.registered_model
    if config.action is PromoteAction.status:
        print(tell_champion(name))
        return
    if config.action is PromoteAction.rollback:
        old, restored = roll_back(name)
        print(f"{name}: champion is version {restored.number} again (was {old.number}).")
        return

    run = find_run(config.run_id) if config.run_id else find_best_run(experiment, config.select_by)
    champion = find_champion(name)
    print(f"candidate: {run.name} (run {run.run_id})")
    if champion is not None and champion.run_id == run.run_id:
        raise Refused(f"Not promoted: this run is the champion already, version {champion.number}.")
    reasons = refuse_record(run.status, run.metrics)
    if reasons:
        raise _refusal(reasons)
    reasons = refuse_run(run.tags)
    reasons += refuse_value(
        run.metrics, run.tags.get(BASELINE_TAG, "?"), config.clearly_beat_baseline
    )
    judged = judge(run, champion, config)
    reasons += judged.reasons
    print(tabulate(run, champion, judged.comparison))
    if reasons:
        raise _refusal(reasons)

    tags = evidence(run, judged.comparison, champion)
    version = register_champion(name, run.run_id, tags, write_card(run, tags, config), champion)
    replaced = f", in place of version {champion.number}" if champion else ", the first champion"
    print(f"\nPromoted: {name} version {version.number}{replaced}.")


def _refusal(reasons: list[str]) -> Refused:
    return Refused("\nNot promoted:\n" + "\n".join(f"  - {reason}" for reason in reasons))


@dataclass
class Judged:
    """What the gate found when it looked at the model itself."""

    reasons: list[str] = field(default_factory=list)
    comparison: Comparison | None = None


def judge(run: RunRecord, champion: Version | None, config: PromoteConfig) -> Judged:
    """Score candidate and champion again, on the test tickets of the candidate's run."""
    judged = Judged()
    made_with = fetch_config(run.run_id)
    tickets = prepare_tickets(made_with.data, made_with.sla, made_with.cost)
    held_out = hold_out(tickets.frame, made_with.split)
    grounds = fingerprint_grounds(made_with, tickets, held_out)
    changed = [tag for tag, value in grounds.items() if run.tags.get(tag) != value]
    if changed:
        judged.reasons.append(
            f"{made_with.data.path} is no longer what the run was trained on "
            f"(it has another {', '.join(changed)}): train again"
        )
        return judged
    try:
        candidate = fetch_bundle(run_model_uri(run.run_id))
    except InputError as error:
        judged.reasons.append(f"the run has no model to promote. {error}")
        return judged
    test = tickets.frame.iloc[held_out.test].reset_index(drop=True)
    decided = candidate.decide(as_scored(test, made_with.data))
    losses = _losses(decided, test, made_with)
    logged = run.metrics["expected_loss"]
    if (decided[ORIGIN] != TEST).any():
        judged.reasons.append("the stored model is of another run: it knows another test set")
    elif not np.isclose(losses.sum(), logged, rtol=_SAME_LOSS, atol=1e-6):
        judged.reasons.append(
            f"the stored model loses {dollars(losses.sum())} on the test tickets, not the "
            f"{dollars(logged)} that its run logged"
        )
    if champion is not None:
        _challenge(judged, run, champion, test, losses, made_with, config)
    return judged


def _challenge(
    judged: Judged,
    run: RunRecord,
    champion: Version,
    test: pd.DataFrame,
    losses: NDArray[np.float64],
    made_with: TrainConfig,
    config: PromoteConfig,
) -> None:
    in_charge = fetch_bundle(version_uri(config.tracking.registered_model, champion))
    policy = in_charge.manifest
    if policy_meaning(policy.data) != policy_meaning(made_with.data):
        judged.reasons.append(
            f"the champion reads exports by another data policy ({policy.data.name}; this run: "
            f"{made_with.data.name}), so they cannot be compared. Another registered model can "
            "hold this one: tracking.registered_model=<name>"
        )
        return
    if champion.tags.get(POLICY_TAG) != run.tags.get(POLICY_TAG):
        judged.reasons.append(
            f"the champion was judged under other costs (sla={policy.sla.name}, "
            f"cost={policy.cost.name}), so its decisions are not comparable"
        )
        return
    decided = in_charge.decide(as_scored(test, made_with.data))
    untouched = (decided[ORIGIN] != OUT_OF_FOLD).to_numpy()
    if not untouched.any():
        judged.reasons.append("the champion was trained on every one of the test tickets")
        return
    theirs = _losses(decided, test, made_with)
    judged.comparison = compare_losses(losses[untouched], theirs[untouched], config)
    judged.reasons += refuse_challenge(judged.comparison, config.margin)


def policy_meaning(data: DataPolicy) -> tuple[object, ...]:
    """What a data policy makes of an export, wherever the file lies and however it is written."""
    return data.columns, data.values, data.events, data.creation, data.label, data.costs


def _losses(
    decided: pd.DataFrame, test: pd.DataFrame, made_with: TrainConfig
) -> NDArray[np.float64]:
    return price(test, made_with).losses(
        test["breach"].to_numpy(dtype=bool), decided[ESCALATE].to_numpy(dtype=bool)
    )


def as_scored(tickets: pd.DataFrame, data: DataPolicy) -> pd.DataFrame:
    """Take from labelled tickets what imputation added: the model must find it itself."""
    if data.creation.kind is CreationKind.imputed:
        return tickets.drop(columns="created_at")
    return tickets


def tell_champion(name: str) -> str:
    """Say which version is in charge, and what it was promoted on."""
    champion = require_champion(name)
    run = find_run(champion.run_id)
    first = f"{name}: the champion is version {champion.number}, {run.name} (run {run.run_id})"
    return f"{first}\n{tabulate(run, None, None, subject='champion')}"


def tabulate(
    run: RunRecord,
    champion: Version | None,
    comparison: Comparison | None,
    subject: str = "candidate",
) -> str:
    """Write the figures of the gate as a small table; ``subject`` is what the run is called."""
    metrics, tickets = run.metrics, run.metrics["test_tickets"]
    rows = [(subject, metrics["expected_loss"], tickets)]
    rows += [
        (f"rule: {words}", metrics[f"baseline_{key}_loss"], tickets)
        for key, words in BASELINE_WORDS.items()
    ]
    if champion is not None and comparison is not None:
        rows.append(
            (f"champion, version {champion.number}", comparison.champion_loss, comparison.tickets)
        )
        if comparison.tickets != tickets:
            rows.append(("candidate, same tickets", comparison.candidate_loss, comparison.tickets))
    lines = [f"{'on held-out tickets':<28}{'tickets':>9}{'loss':>13}{'per ticket':>12}"]
    lines += [
        f"{words:<28}{int(count):>9,}{dollars(loss):>13}{loss / count:>12.2f}"
        for words, loss, count in sorted(rows, key=lambda row: row[1] / row[2])
    ]
    value, low, high = (metrics[f"value_over_baseline{end}"] for end in ("", "_low", "_high"))
    lines.append(f"value over the best rule: {dollars(value)} [{dollars(low)} to {dollars(high)}]")
    return "\n".join(lines)


def evidence(
    run: RunRecord, comparison: Comparison | None, champion: Version | None
) -> dict[str, str]:
    """Collect what the promotion rests on, as tags of the version."""
    tags = {key: f"{run.metrics[key]:g}" for key in EVIDENCE}
    for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG, BASELINE_TAG, "git_commit", "git_dirty"):
        tags[tag] = run.tags.get(tag, "")
    tags["promoted_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    if champion is not None and comparison is not None:
        tags["against_champion"] = (
            f"{comparison.difference:+.4f} dollars per ticket [{comparison.low:+.4f} to "
            f"{comparison.high:+.4f}] on {comparison.tickets} tickets"
        )
    return tags


def write_card(run: RunRecord, tags: dict[str, str], config: PromoteConfig) -> str:
    """Write the model card: the run's own summary, why it is in charge, and its limits."""
    against = tags.get("against_champion")
    reason = (
        f"It lost less than the champion before it: {against}."
        if against
        else "It is the first champion: it beat every trivial rule."
    )
    lines = [
        "Takes raw tickets, named as in its data policy; gives each a breach probability, a risk "
        "bucket, the expected loss if left and if escalated, and the decision.",
        "",
        run.tags.get(DESCRIPTION_TAG, ""),
        "",
        f"**Promoted** {tags['promoted_at']} from run `{run.run_id}` ({run.name}), code "
        f"{tags['git_commit'][:10]}. {reason}",
        "",
        "**Limits.** The losses are those of the costs above; with other costs, train again. The "
        "model knows the period it was trained on: watch its loss as tickets change.",
        "",
        f"**Repeat.** `python promote.py run_id={run.run_id}` judges this run again; its config is "
        "`config.yaml` of the run.",
    ]
    return "\n".join(lines)
