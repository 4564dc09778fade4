"""The registered model at one moment: versions, aliases, and the record of its champions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from slarisk.errors import InputError
from slarisk.registry.versions import CHAMPION, FILES_TAG, Version, fetch_versions
from slarisk.tracking.runs import mlflow_client

_READS = 20  # of a registry that changes all the time
PREVIOUS = "previous"
SINCE_TAG = "in_charge_since"
CHANGE_TAG = "change_"
PROMOTED, ROLLED_BACK, BY_HAND = "promoted", "rolled back", "moved by hand"


@dataclass(frozen=True)
class Change:
    """A move of the alias from one version to another; None stands for no version."""

    number: int
    action: str
    new: str | None
    old: str | None
    at: str
    why: str
    by: str
    done: bool = True

    @property
    def tag(self) -> str:
        """The tag of the registered model that keeps the change."""
        return f"{CHANGE_TAG}{self.number:04}"

    def to_json(self) -> str:
        """Write the change as the value of its tag."""
        fields = asdict(self)
        del fields["number"]
        return json.dumps(fields)


@dataclass(frozen=True)
class RegistryState:
    """The registered model at one moment; versions and changes are listed oldest first.

    ``previous`` is the version with the alias of that name, ``aliased`` are those with any alias.
    """

    registered: bool = False
    champion: Version | None = None
    previous: str | None = None
    versions: tuple[Version, ...] = ()
    changes: tuple[Change, ...] = ()
    aliased: frozenset[str] = frozenset()

    @property
    def champion_number(self) -> str | None:
        """The number of the champion."""
        return self.champion.number if self.champion else None

    @property
    def pending(self) -> Change | None:
        """The last change, if it is not on record as done."""
        return self.changes[-1] if self.changes and not self.changes[-1].done else None

    @property
    def completed(self) -> list[Change]:
        """Changes that have taken place, also if they are not on record as done yet."""
        return [each for each in self.changes if each.done or each.new == self.champion_number]

    @property
    def unfinished(self) -> list[str]:
        """Versions that a promotion registered and that never were in charge."""
        charged = {change.new for change in self.changes if change.done}
        return [
            version.number
            for version in self.versions
            if FILES_TAG in version.tags
            and SINCE_TAG not in version.tags
            and version.number not in charged | self.aliased
        ]

    def find_replacement(self, number: str) -> Change | None:
        """Find the change that last replaced a version; None for the champion."""
        if number == self.champion_number:
            return None
        return next((each for each in reversed(self.completed) if each.old == number), None)

    def find_predecessor(self, number: str) -> str | None:
        """Find the version that was in charge before another first was, leaving out deleted ones.

        Repeated, this comes to an end: each step leads to a version that was in charge earlier.
        """
        existing = {version.number for version in self.versions}
        predecessors: dict[str | None, str | None] = {}
        for change in self.changes:
            if change.done and change.action != ROLLED_BACK:
                predecessors.setdefault(change.new, change.old)
        before = predecessors.get(number)
        while before is not None and before not in existing:
            before = predecessors.get(before)
        return before


def fetch_state(name: str) -> RegistryState:
    """Fetch the state of a registered model.

    Raises
    ------
    InputError
        The record of its champions was edited and cannot be read.
    """
    from mlflow.exceptions import MlflowException

    try:
        model = mlflow_client().get_registered_model(name)
        for _ in range(_READS):  # versions come by another request: aliases may have moved since
            versions = tuple(fetch_versions(name))
            again = mlflow_client().get_registered_model(name)
            if (again.aliases, again.tags) == (model.aliases, model.tags):
                break
            model = again
    except MlflowException as error:
        # a store that fails is not an empty one
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return RegistryState()
    aliases = {alias: str(number) for alias, number in model.aliases.items()}
    champions = [each for each in versions if each.number == aliases.get(CHAMPION)]
    changes = [
        _parse_change(name, tag, value)
        for tag, value in model.tags.items()
        if tag.startswith(CHANGE_TAG) and tag.removeprefix(CHANGE_TAG).isdigit()
    ]
    return RegistryState(
        registered=True,
        champion=champions[0] if champions else None,
        previous=aliases.get(PREVIOUS),
        versions=versions,
        changes=tuple(sorted(changes, key=lambda change: change.number)),
        aliased=frozenset(aliases.values()),
    )


def _parse_change(name: str, tag: str, value: str) -> Change:
    try:
        return Change(number=int(tag.removeprefix(CHANGE_TAG)), **json.loads(value))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{name}: its tag {tag} is on record for a change of champion, but was edited and "
            f"cannot be read: {error}. Correct or delete the tag."
        ) from error


def format_time(at: str) -> str:
    """Write an ISO time in UTC, to the minute."""
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
