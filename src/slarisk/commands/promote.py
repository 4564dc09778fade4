"""``python promote.py``: from the best run, through the gate, to the registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slarisk.config import PromoteAction, PromoteConfig
from slarisk.errors import InputError, Refused
from slarisk.evaluation.metrics import OUT_OF_FOLD_METRICS
from slarisk.registry.candidate import make_refusal, read_candidate
from slarisk.registry.card import tabulate, write_card
from slarisk.registry.comparison import (
    VERDICT_TAG,
    WHY_TAG,
    compare_candidate,
    explain_promotion,
    promotion_tags,
)
from slarisk.registry.models import fetch_version, read_checksums
from slarisk.registry.policy_differences import describe_policy
from slarisk.registry.promotion import (
    OvertakenError,
    find_rollback,
    format_time,
    promote_version,
    promotion_lock,
    read_state,
    recover,
    roll_back,
)
from slarisk.registry.selection import choose_run, require_direction
from slarisk.registry.versions import Version, find_champion, require_champion
from slarisk.tracking.runs import RunRecord, fetch_config, find_run
from slarisk.tracking.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            print(describe_champion(name))
        case PromoteAction.history:
            print(describe_history(name))
        case PromoteAction.rollback:
            roll_back_champion(name, config)
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
    with promotion_lock(print) as alone:
        for _ in range(_ATTEMPTS):
            standing = read_state(name) if config.dry_run else recover(name, alone)
            champion = standing.champion
            verdict = compare_candidate(candidate, name, champion, config)
            table = tabulate(verdict, standing.in_charge)
            print("\n".join([*verdict.notes, table]))
            if verdict.reasons:
                raise make_refusal(verdict.reasons)
            place = f"in place of version {champion.number}" if champion else "the first champion"
            if config.dry_run:
                print(f"\nWould be promoted, {place}. Nothing was changed: dry_run=true.")
                return
            why = explain_promotion(candidate, verdict, champion, config)
            tags = promotion_tags(candidate, verdict, champion, table, why, config)
            card = write_card(
                run, candidate.grounds, candidate.bundle.manifest, verdict, table, why
            )
            try:
                version = promote_version(name, run, tags, card, why, standing)
            except OvertakenError:
                print(
                    "\nAnother promotion came first. ScoredTickets again, against the new champion:"
                )
                continue
            print(f"\nPromoted: {name} version {version.number}, {place}.")
            return
    raise Refused(f"Not promoted: others came first, {_ATTEMPTS} times in a row.")


def roll_back_champion(name: str, config: PromoteConfig) -> None:
    """Put the version before the champion back in charge."""
    if config.dry_run:
        old, former = find_rollback(name, read_state(name))
        print(
            f"{name}: version {former.number} would be champion again (now {old.number}). Nothing "
            "was changed: dry_run=true."
        )
        return
    with promotion_lock(print) as alone:
        why = config.reason or "no reason given"
        old, former = roll_back(name, why, recover(name, alone))
    print(f"{name}: champion is version {former.number} again (was {old.number}).")


def describe_champion(name: str) -> str:
    """Say which version is in charge, what it was promoted on, and that its files are unchanged."""
    champion = require_champion(name)
    standing = read_state(name)
    fetch_version(name, champion)
    run = find_run(champion.run_id)
    since = [each.at for each in standing.settled_changes if each.new == champion.number]
    former = standing.before(champion.number)
    lines = [
        f"{name}: the champion is version {champion.number}, {run.name} (run {run.run_id})",
        f"in charge since {format_time(since[-1])}" if since else "in charge",
        champion.tags.get(WHY_TAG, ""),
        champion.tags.get(VERDICT_TAG, ""),
        f"its {len(read_checksums(champion))} files are those that were registered",
        f"action=rollback would return to version {former}" if former else "",
    ]
    return "\n".join(filter(None, lines))


def describe_history(name: str) -> str:
    """Say who replaced whom, when and why, the latest first."""
    changes = read_state(name).settled_changes
    if not changes:
        return f"{name}: nobody has been in charge yet."
    lines = []
    for change in reversed(changes):
        new = f"version {change.new}" if change.new else "no version"
        place = f" in place of version {change.old}" if change.old else ""
        lines.append(f"{format_time(change.at)}  {new}{place}: {change.action} by {change.by}")
        lines.append(f"    {change.why}")
    return "\n".join(lines)
