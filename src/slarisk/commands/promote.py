"""``python promote.py``: from the best run, through the gate, to the registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slarisk.config import PromoteAction
from slarisk.errors import Refused
from slarisk.evaluation.metrics import OUT_OF_FOLD_METRICS
from slarisk.registry.candidate import load_candidate, make_refusal
from slarisk.registry.card import (
    VERDICT_TAG,
    WHY_TAG,
    explain_promotion,
    promotion_tags,
    write_card,
    write_tables,
)
from slarisk.registry.comparison import compare_candidate
from slarisk.registry.models import fetch_version, read_checksums
from slarisk.registry.promotion import (
    OvertakenError,
    find_rollback,
    promote_version,
    promotion_lock,
    recover,
    roll_back,
)
from slarisk.registry.selection import choose_run, fetch_policy, validate_select_by
from slarisk.registry.state import fetch_state, format_time
from slarisk.registry.versions import find_champion, require_champion
from slarisk.tracking.runs import find_run
from slarisk.tracking.store import open_store

if TYPE_CHECKING:
    from slarisk.config import PromoteConfig
    from slarisk.tracking.runs import RunRecord


_ATTEMPTS = 20  # how often a run is compared again because another promotion came first


def promote(config: PromoteConfig) -> None:
    """Promote a run, roll back to the champion before, or show who is in charge.

    Raises
    ------
    Refused
        The gate's reasons, or there is nothing to roll back to; nothing was changed.
    InputError
        There is no such run, or its data cannot be read again.
    """
    validate_select_by(config.select_by)
    experiment = open_store(config.tracking)
    name = config.tracking.registered_model
    match config.action:
        case PromoteAction.status:
            show_champion(name)
        case PromoteAction.history:
            show_history(name)
        case PromoteAction.rollback:
            roll_back_champion(name, config)
        case PromoteAction.promote:
            promote_run(name, select_run(name, experiment, config), config)


def select_run(name: str, experiment: str, config: PromoteConfig) -> RunRecord:
    """Look up the run that is named, or the best one under the champion's policy."""
    if config.run_id:
        run = find_run(config.run_id)
        print(f"candidate: {run.name} (run {run.run_id})")
        return run
    if config.select_by not in OUT_OF_FOLD_METRICS:
        print(
            f"select_by={config.select_by} is measured on the test tickets, which then choose the "
            "candidate and judge it: of many runs a lucky one wins, and its figures flatter it.",
            file=sys.stderr,
        )
    champion = find_champion(name)
    policy = fetch_policy(name, champion) if champion else None
    choice = choose_run(experiment, config.select_by, policy)
    print(f"candidate: {choice.run.name} (run {choice.run.run_id})\n{choice.words}")
    return choice.run


def promote_run(name: str, run: RunRecord, config: PromoteConfig) -> None:
    """Compare a run with the rules and the champion, and put it in charge if the gate allows it."""
    candidate = load_candidate(run, config.accept)
    with promotion_lock(print) as exclusive:
        for _ in range(_ATTEMPTS):
            state = fetch_state(name) if config.dry_run else recover(name, exclusive)
            champion = state.champion
            result = compare_candidate(candidate, name, champion, config)
            print("\n".join([*result.notes, write_tables(result, champion)]))
            if result.reasons:
                raise make_refusal(result.reasons)
            place = f"in place of version {champion.number}" if champion else "the first champion"
            if config.dry_run:
                print(f"\nWould be promoted, {place}. Nothing was changed: dry_run=true.")
                return
            why = explain_promotion(candidate, result, champion, config)
            tags = promotion_tags(candidate, result, champion, why, config)
            card = write_card(candidate, result, champion, why)
            try:
                version = promote_version(name, run, tags, card, why, state)
            except OvertakenError:
                print("\nAnother promotion came first. Compared again, with the new champion:")
                continue
            print(f"\nPromoted: {name} version {version.number}, {place}.")
            return
    raise Refused(f"Not promoted: others came first, {_ATTEMPTS} times in a row.")


def roll_back_champion(name: str, config: PromoteConfig) -> None:
    """Put the version before the champion back in charge."""
    if config.dry_run:
        old, restored = find_rollback(name, fetch_state(name))
        print(
            f"{name}: version {restored.number} would be champion again (now {old.number}). "
            "Nothing was changed: dry_run=true."
        )
        return
    with promotion_lock(print) as exclusive:
        why = config.reason or "no reason given"
        old, restored = roll_back(name, why, recover(name, exclusive))
    print(f"{name}: champion is version {restored.number} again (was {old.number}).")


def show_champion(name: str) -> None:
    """Print which version is in charge and on what evidence, after its files were compared."""
    champion = require_champion(name)
    fetch_version(name, champion)
    run, state = find_run(champion.run_id), fetch_state(name)
    since = [change.at for change in state.completed if change.new == champion.number]
    before = state.find_predecessor(champion.number)
    lines = [
        f"{name}: the champion is version {champion.number}, {run.name} (run {run.run_id})",
        f"in charge since {format_time(since[-1])}" if since else "in charge",
        champion.tags.get(WHY_TAG, ""),
        champion.tags.get(VERDICT_TAG, ""),
        f"its {len(read_checksums(champion))} files are those that were registered",
        f"action=rollback would return to version {before}" if before else "",
    ]
    print("\n".join(filter(None, lines)))


def show_history(name: str) -> None:
    """Print who replaced whom, when and why, the latest first."""
    changes = fetch_state(name).completed
    if not changes:
        print(f"{name}: nobody has been in charge yet.")
    for change in reversed(changes):
        new = f"version {change.new}" if change.new else "no version"
        place = f" in place of version {change.old}" if change.old else ""
        print(f"{format_time(change.at)}  {new}{place}: {change.action} by {change.by}")
        print(f"    {change.why}")
