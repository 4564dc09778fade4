"""Who is in charge, who was before, and why.

The alias ``champion`` decides, and moving it is one write of the registry: before it the old
version is in charge, after it the new one. Around it a promotion writes in this order:

1. the version, with all its evidence and its card (one write),
2. the change, on record as not done yet,
3. **the alias champion**,
4. the mark of the version that it was in charge, the alias ``previous``, and the change as done.

Whatever ends a promotion in between, what it left can be told from this order, and the next one
settles it first (:func:`recover`): before 3 nothing has happened, and what was begun is taken back;
after 3 all of it has, and what is missing is added.

One promotion at a time: on a local store a lock file sees to that, which the system lets go when
its process ends, however it ends. The API of a tracking server has neither locks nor conditional
writes, but it numbers versions one after the other. So a version that finds another promotion's
between itself and the one that it was judged against gives way (:class:`OvertakenError`), and nobody
judges anything while a younger version is about to take charge.
"""

from __future__ import annotations

import getpass
import json
import re
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from slarisk.errors import InputError, Refused
from slarisk.registry.models import fetch_version
from slarisk.registry.versions import CHAMPION, FILES_TAG, Version, list_versions
from slarisk.tracking.runs import mlflow_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from slarisk.tracking.runs import RunRecord


PREVIOUS = "previous"


SINCE_TAG = "in_charge_since"


CHANGE_TAG = "change_"


IN_CHARGE, WAS_IN_CHARGE = "Why it is in charge", "Why it was in charge"  # titles in a model card


PROMOTED, ROLLED_BACK, BY_HAND = "promoted", "rolled back", "moved by hand"


_UNTIL = "In charge until"


_ABOUT = "Decides which support tickets to escalate before they breach."


_LEASE = 60.0  # seconds without progress after which another machine's promotion counts as dead


_HASTE = 20.0  # seconds within which a version takes charge or gives way: well below the lease


_POLL = 0.5  # seconds


@dataclass(frozen=True)
class Change:
    """The alias moved from one version to another; None is no version."""

    number: int
    action: str
    new: str | None
    old: str | None
    at: str
    why: str
    by: str
    done: bool = True


@dataclass(frozen=True)
class RegistryState:
    """The registered model at one moment.

    ``previous`` is what the alias of that name says; ``registered`` whether there is such a model.
    """

    registered: bool
    champion: Version | None
    previous: str | None
    versions: tuple[Version, ...]
    changes: tuple[Change, ...]
    aliased: frozenset[str]

    @property
    def in_charge(self) -> str | None:
        """The number of the champion."""
        return self.champion.number if self.champion else None

    @property
    def newest(self) -> int:
        """The highest version number there is."""
        return max((int(version.number) for version in self.versions), default=0)

    @property
    def pending(self) -> Change | None:
        """The change on record that is not known to be done."""
        return self.changes[-1] if self.changes and not self.changes[-1].done else None

    @property
    def settled_changes(self) -> list[Change]:
        """Changes that have taken place, also if that is not on record yet."""
        return [each for each in self.changes if each.done or each.new == self.in_charge]

    @property
    def begun(self) -> list[str]:
        """Versions that a promotion registered and that never were in charge."""
        charged = {change.new for change in self.changes if change.done}
        return [
            version.number
            for version in self.versions
            if FILES_TAG in version.tags
            and SINCE_TAG not in version.tags
            and version.number not in charged | self.aliased
        ]

    def end_of(self, number: str) -> Change | None:
        """Find the change that took charge from a version; None if it is in charge, or never was.

        A version that comes back in charge has no end until it is replaced again.
        """
        if number == self.in_charge:
            return None
        return next((each for each in self.settled_changes[::-1] if each.old == number), None)

    def before(self, number: str) -> str | None:
        """Find the version that was in charge before another first was, leaving out deleted ones.

        Every step leads to a version that was in charge earlier, so there is an end to them.
        """
        there = {version.number for version in self.versions}
        first: dict[str | None, str | None] = {}
        for change in self.changes:
            if change.done and change.action != ROLLED_BACK:
                first.setdefault(change.new, change.old)
        found = first.get(number)
        while found is not None and found not in there:
            found = first.get(found)
        return found


class OvertakenError(Exception):
    """Another promotion came first: what this one was judged against is not in charge any more."""


@contextmanager
def promotion_lock(say: Callable[[str], None]) -> Iterator[bool]:
    """Wait for the promotions of this store that are under way, and hold up those that follow.

    Parameters
    ----------
    say : function
        Told, in words, if there is one to wait for.

    Yields
    ------
    bool
        Whether no other promotion can be under way now; not known of a tracking server.
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
        say("Waiting for another promotion to end.")
        lock.acquire()
    try:
        yield True
    finally:
        lock.release()


def read_state(name: str) -> RegistryState:
    """See how a registered model stands, changing nothing."""
    from mlflow.exceptions import MlflowException

    try:
        found = mlflow_client().get_registered_model(name)
    except MlflowException as error:
        # a store that fails must not pass for an empty one
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return RegistryState(False, None, None, (), (), frozenset())
    aliases = {alias: str(number) for alias, number in found.aliases.items()}
    versions = tuple(list_versions(name))
    in_charge = [each for each in versions if each.number == aliases.get(CHAMPION)]
    changes = [
        _read(name, key, value)
        for key, value in found.tags.items()
        if key.startswith(CHANGE_TAG) and key.removeprefix(CHANGE_TAG).isdigit()
    ]
    return RegistryState(
        registered=True,
        champion=in_charge[0] if in_charge else None,
        previous=aliases.get(PREVIOUS),
        versions=versions,
        changes=tuple(sorted(changes, key=lambda change: change.number)),
        aliased=frozenset(aliases.values()),
    )


def recover(name: str, alone: bool) -> RegistryState:
    """Bring to an end what a promotion or rollback left half done, and see how the model stands.

    Parameters
    ----------
    name : str
        Of the registered model.
    alone : bool
        Whether no other promotion can be under way (:func:`promotion_lock`). If one can, it is given time
        to end by itself.
    """
    standing = read_state(name) if alone else _wait_for_others(name)
    if not standing.registered:
        return standing
    client = mlflow_client()
    if (change := standing.pending) is not None:
        if change.new == standing.in_charge:
            _mark_done(client, name, change)
        else:
            client.delete_registered_model_tag(name, _key(change))
        standing = read_state(name)
    recorded = standing.changes[-1].new if standing.changes else None
    if recorded != standing.in_charge:
        why = "the alias was moved outside promote.py"
        moved = _change(standing, BY_HAND, recorded, standing.in_charge, why)
        client.set_registered_model_tag(name, _key(moved), _write(moved))
    for number in standing.begun:
        client.delete_model_version(name, number)
    _tidy_up(client, name, read_state(name))
    return read_state(name)


def _wait_for_others(name: str) -> RegistryState:
    """Wait until nothing is half done, or has been for so long that nobody is at work on it."""
    seen: object = None
    since = time.monotonic()
    while True:
        standing = read_state(name)
        half_done = (standing.pending, standing.begun)
        if half_done == (None, []):
            return standing
        if half_done != seen:
            seen, since = half_done, time.monotonic()
        elif time.monotonic() - since > _LEASE:
            return standing
        time.sleep(_POLL)


def promote_version(
    name: str,
    run: RunRecord,
    tags: Mapping[str, str],
    description: str,
    why: str,
    standing: RegistryState,
) -> Version:
    """Register a run's model with all its evidence, and only then put it in charge.

    Parameters
    ----------
    name : str
        Of the registered model.
    run : RunRecord
        Whose model it is.
    tags : mapping of str to str
        CheckContext; ``FILES_TAG`` is among it.
    description : str
        The model card.
    why : str
        For the record.
    standing : RegistryState
        What the run was judged against.

    Raises
    ------
    OvertakenError
        Another promotion came between; nothing was changed.
    """
    from mlflow.exceptions import MlflowException

    client = mlflow_client()
    if not standing.registered:
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
        description=description,
        model_id=run.model_id,
    )
    version = Version(str(created.version), created.run_id, dict(created.tags))
    now = read_state(name)
    between = [
        each.number
        for each in now.versions
        if FILES_TAG in each.tags and standing.newest < int(each.number) < int(version.number)
    ]
    late = time.monotonic() - started > _HASTE
    if between or late or now.in_charge != standing.in_charge:
        client.delete_model_version(name, version.number)
        raise OvertakenError
    _move(client, name, _change(now, PROMOTED, standing.in_charge, version.number, why))
    return version


def roll_back(name: str, why: str, standing: RegistryState) -> tuple[Version, Version]:
    """Put the version that was in charge before the champion back in charge.

    Returns
    -------
    tuple
        The version that was in charge, and the one that is now.

    Raises
    ------
    Refused
        There is no champion, or none before it; or another came first.
    InputError
        Files of the version before were changed or are missing.
    """
    old, restored = find_rollback(name, standing)
    if read_state(name).in_charge != old.number:
        raise Refused("Not rolled back: another promotion came first. Look, and try again.")
    _move(mlflow_client(), name, _change(standing, ROLLED_BACK, old.number, restored.number, why))
    return old, restored


def find_rollback(name: str, standing: RegistryState) -> tuple[Version, Version]:
    """Find the champion and the version that a rollback would put in charge; see `roll_back`."""
    champion = standing.champion
    if champion is None:
        raise Refused(f"Not rolled back: {name} has no champion.")
    before = standing.before(champion.number)
    if before is None:
        raise Refused(f"Not rolled back: no champion before version {champion.number} is left.")
    (restored,) = (version for version in standing.versions if version.number == before)
    fetch_version(name, restored)  # what cannot be loaded cannot be in charge
    return champion, restored


def _move(client: Any, name: str, change: Change) -> None:
    client.set_registered_model_tag(name, _key(change), _write(replace(change, done=False)))
    client.set_registered_model_alias(name, CHAMPION, change.new)
    _mark_done(client, name, change)
    _tidy_up(client, name, read_state(name))


def _mark_done(client: Any, name: str, change: Change) -> None:
    """Complete a change whose alias has moved; the record is last, for it says that all is done."""
    if change.action == PROMOTED:
        client.set_model_version_tag(name, change.new, SINCE_TAG, change.at)
    client.set_registered_model_tag(name, _key(change), _write(replace(change, done=True)))


def _tidy_up(client: Any, name: str, standing: RegistryState) -> None:
    """Bring into line with the record of changes what only follows from it."""
    _point_back(client, name, standing)
    for version in standing.versions:
        card = date_card(version.description, standing.end_of(version.number))
        if card != version.description:
            client.update_model_version(name, version.number, description=card)


def date_card(card: str, end: Change | None) -> str:
    """Let a model card say whether its version is in charge, or when and by what it was replaced.

    Parameters
    ----------
    card : str
        The description of a version; one without the section is left as it is.
    end : Change, optional
        What took charge from it; None if it is in charge.
    """
    titles = "|".join((IN_CHARGE, WAS_IN_CHARGE))
    section = re.compile(rf"^### (?:{titles})\n\n(?:{_UNTIL} [^\n]*\n\n)?", re.MULTILINE)
    if end is None:
        return section.sub(f"### {IN_CHARGE}\n\n", card, count=1)
    by = f"version {end.new} replaced it" if end.new else "no version took its place"
    words = f"{_UNTIL} {format_time(end.at)}, when {by} ({end.action}). {' '.join(end.why.split())}"
    return section.sub(lambda _: f"### {WAS_IN_CHARGE}\n\n{words}\n\n", card, count=1)


def format_time(at: str) -> str:
    """Write a time in UTC, to the minute."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _point_back(client: Any, name: str, standing: RegistryState) -> None:
    """Let the alias ``previous`` name the version that a rollback would put in charge."""
    before = standing.before(standing.in_charge) if standing.in_charge else None
    if before == standing.previous:
        return
    if before is None:
        client.delete_registered_model_alias(name, PREVIOUS)
    else:
        client.set_registered_model_alias(name, PREVIOUS, before)


def _change(
    standing: RegistryState, action: str, old: str | None, new: str | None, why: str
) -> Change:
    number = standing.changes[-1].number + 1 if standing.changes else 1
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Change(number, action, new, old, at, why, _user())


def _user() -> str:
    with suppress(OSError, KeyError, ImportError):  # a container may have no name for its user
        return getpass.getuser()
    return "?"


def _key(change: Change) -> str:
    return f"{CHANGE_TAG}{change.number:04}"


def _read(name: str, key: str, value: str) -> Change:
    try:
        return Change(number=int(key.removeprefix(CHANGE_TAG)), **json.loads(value))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name}: its tag {key} is on record for a change of champion, but was edited and "
            f"cannot be read: {error}. Correct or delete the tag."
        ) from error


def _write(change: Change) -> str:
    fields = asdict(change)
    del fields["number"]
    return json.dumps(fields)
