"""Move the alias ``champion``, by a promotion or a rollback, so that it cannot be left half done.

The alias decides which version is in charge, and moving it is one write. A promotion writes in this
order:

1. the version, with all its evidence and its card (one write),
2. the change, on record as not done yet,
3. **the alias champion**,
4. the mark of the version that it was in charge, the alias ``previous``, and the change as done.

A promotion that ends in between is completed or undone by the next one (:func:`recover`): before 3
nothing has happened, and what was begun is taken back; after 3 all of it has, and what is missing
is added.

On a local store a lock file, which the system releases when its process ends, allows one promotion
at a time. The API of a tracking server has neither locks nor conditional writes, but it numbers
versions one after the other. So a promotion withdraws its version if another has an older one that
is not in charge yet, or if the champion is not the one it was compared with
(:class:`OvertakenError`); and none starts a comparison while a version is about to take charge.
"""

from __future__ import annotations

import getpass
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from slarisk.errors import Refused
from slarisk.registry.card import date_card
from slarisk.registry.models import fetch_version
from slarisk.registry.state import (
    BY_HAND,
    PREVIOUS,
    PROMOTED,
    ROLLED_BACK,
    SINCE_TAG,
    Change,
    RegistryState,
    fetch_state,
)
from slarisk.registry.versions import CHAMPION, Version
from slarisk.tracking.runs import mlflow_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slarisk.tracking.runs import RunRecord


_ABOUT = "Decides which support tickets to escalate before they breach."
_LEASE = 60.0  # seconds without progress after which another machine's promotion counts as dead
_DEADLINE = 20.0  # seconds within which a version takes charge or is withdrawn: below the lease
_POLL = 0.5  # seconds


class OvertakenError(Exception):
    """Another promotion came first: the champion that a run was compared with was replaced."""


@contextmanager
def promotion_lock(notify: Callable[[str], None]) -> Iterator[bool]:
    """Wait for other promotions of this store, and keep further ones waiting.

    Parameters
    ----------
    notify : function
        Called with a sentence if there is one to wait for.

    Yields
    ------
    bool
        Whether no other promotion can be running; not known of a tracking server.
    """
    import mlflow

    uri = mlflow.get_registry_uri()
    if not uri.startswith("sqlite:///"):
        yield False
        return
    lock = FileLock(f"{Path(uri.removeprefix('sqlite:///')).absolute()}.promotion.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        notify("Waiting for another promotion to end.")
        lock.acquire()
    try:
        yield True
    finally:
        lock.release()


def recover(name: str, exclusive: bool) -> RegistryState:
    """Complete or undo what a promotion or rollback left half done, and fetch the state.

    Parameters
    ----------
    name : str
        Of the registered model.
    exclusive : bool
        Whether no other promotion can be running (:func:`promotion_lock`). If one can, it is given
        time to end by itself.
    """
    state = fetch_state(name) if exclusive else _wait_for_others(name)
    if not state.registered:
        return state
    client = mlflow_client()
    left_over = state.unfinished  # of dead promotions: a version that is registered later is alive
    if (change := state.pending) is not None:
        if change.new == state.champion_number:
            _mark_done(client, name, change)
        else:
            client.delete_registered_model_tag(name, change.tag)
        state = fetch_state(name)
    recorded = state.changes[-1].new if state.changes else None
    if recorded != state.champion_number:
        why = "the alias was moved outside promote.py"
        moved = _make_change(state, BY_HAND, recorded, state.champion_number, why)
        client.set_registered_model_tag(name, moved.tag, moved.to_json())
    for number in left_over:
        client.delete_model_version(name, number)
    _update_previous_and_cards(client, name)
    return fetch_state(name)


def _wait_for_others(name: str) -> RegistryState:
    """Wait until nothing is half done, or has not changed for the lease."""
    seen: object = None
    since = time.monotonic()
    while True:
        state = fetch_state(name)
        half_done = (state.pending, state.unfinished)
        if half_done == (None, []):
            return state
        if half_done != seen:
            seen, since = half_done, time.monotonic()
        elif time.monotonic() - since > _LEASE:
            return state
        time.sleep(_POLL)


def promote_version(
    name: str,
    run: RunRecord,
    tags: Mapping[str, str],
    card: str,
    why: str,
    state: RegistryState,
) -> Version:
    """Register a run's model with all its evidence, then put it in charge.

    Parameters
    ----------
    name : str
        Of the registered model.
    run : RunRecord
        The run that logged the model.
    tags : mapping of str to str
        The evidence; ``FILES_TAG`` is among it.
    card : str
        The model card.
    why : str
        The reason that goes on record.
    state : RegistryState
        Its champion is the one that the run was compared with.

    Raises
    ------
    OvertakenError
        Another promotion came between; nothing was changed.
    """
    from mlflow.exceptions import MlflowException

    client = mlflow_client()
    if not state.registered:
        try:
            client.create_registered_model(name, description=_ABOUT)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    started = time.monotonic()
    created = client.create_model_version(
        name,
        source=f"models:/{run.model_id}",
        run_id=run.run_id,
        tags=dict(tags),
        description=card,
        model_id=run.model_id,
    )
    version = Version(str(created.version), created.run_id, dict(created.tags))
    now = fetch_state(name)
    # an older version that is not in charge yet comes first, whether it was there when the champion
    # was looked up or not
    overtaken = any(int(number) < int(version.number) for number in now.unfinished)
    late = time.monotonic() - started > _DEADLINE
    if overtaken or late or now.champion_number != state.champion_number:
        client.delete_model_version(name, version.number)
        raise OvertakenError
    change = _make_change(now, PROMOTED, state.champion_number, version.number, why)
    _move_champion(client, name, change)
    return version


def roll_back(name: str, why: str, state: RegistryState) -> tuple[Version, Version]:
    """Put the version that was in charge before the champion back in charge.

    Returns
    -------
    tuple
        The version that was in charge, and the one that is now.

    Raises
    ------
    Refused
        There is no champion, or none before it; or another promotion came first.
    InputError
        Files of the version before were changed or are missing.
    """
    old, restored = find_rollback(name, state)
    if fetch_state(name).champion_number != old.number:
        raise Refused("Not rolled back: another promotion came first. Look, and try again.")
    change = _make_change(state, ROLLED_BACK, old.number, restored.number, why)
    _move_champion(mlflow_client(), name, change)
    return old, restored


def find_rollback(name: str, state: RegistryState) -> tuple[Version, Version]:
    """Find the champion and the version that a rollback would put in charge; see `roll_back`."""
    champion = state.champion
    if champion is None:
        raise Refused(f"Not rolled back: {name} has no champion.")
    before = state.find_predecessor(champion.number)
    if before is None:
        raise Refused(f"Not rolled back: no champion before version {champion.number} is left.")
    (restored,) = (version for version in state.versions if version.number == before)
    fetch_version(name, restored)  # a version that cannot be loaded cannot be in charge
    return champion, restored


def _move_champion(client: Any, name: str, change: Change) -> None:
    client.set_registered_model_tag(name, change.tag, replace(change, done=False).to_json())
    client.set_registered_model_alias(name, CHAMPION, change.new)
    _mark_done(client, name, change)
    _update_previous_and_cards(client, name)


def _mark_done(client: Any, name: str, change: Change) -> None:
    """Complete a change whose alias has moved; the record is the last write."""
    if change.action == PROMOTED:
        client.set_model_version_tag(name, change.new, SINCE_TAG, change.at)
    client.set_registered_model_tag(name, change.tag, replace(change, done=True).to_json())


def _update_previous_and_cards(client: Any, name: str) -> None:
    """Derive the alias ``previous`` and the dates in the cards from the record of changes."""
    state = fetch_state(name)
    number = state.champion_number
    before = state.find_predecessor(number) if number else None
    if before is None and state.previous is not None:
        client.delete_registered_model_alias(name, PREVIOUS)
    elif before != state.previous:
        client.set_registered_model_alias(name, PREVIOUS, before)
    for version in state.versions:
        card = date_card(version.description, state.find_replacement(version.number))
        if card != version.description:
            client.update_model_version(name, version.number, description=card)


def _make_change(
    state: RegistryState, action: str, old: str | None, new: str | None, why: str
) -> Change:
    number = state.changes[-1].number + 1 if state.changes else 1
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Change(number, action, new, old, at, why, _find_user())


def _find_user() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container may have no name for its user
        return getpass.getuser()
    return "?"
