"""What the values of a config must be, and one function that refuses those that are not.

A field of a config says it in its type: ``folds: Annotated[int, Bounds(at_least=2)]``. In a list or
a mapping the items say it: ``dict[str, Annotated[float, Bounds(above=0)]]``.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from slarisk.errors import InputError


class Constraint(ABC):
    """A rule about a value. Its text completes the sentence that begins with the key."""

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether a value keeps the rule."""


@dataclass(frozen=True)
class Finite(Constraint):
    """A number that is neither NaN nor infinite; holds for every float of a config."""

    def holds(self, value: Any) -> bool:
        """Whether a number is finite."""
        return math.isfinite(value)

    def __str__(self) -> str:
        """Say what the value must be."""
        return "must be a finite number"


@dataclass(frozen=True)
class Bounds(Constraint):
    """Bounds of a number; ``at_least`` and ``at_most`` include the bound."""

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def holds(self, value: Any) -> bool:
        """Whether a number is within the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Say what the value must be.

        Examples
        --------
        >>> str(Bounds(at_least=1)), str(Bounds(above=0, below=1))
        ('must be at least 1', 'must be above 0 and below 1')
        """
        bounds = {name: getattr(self, name) for name in ("at_least", "above", "at_most", "below")}
        said = [f"{name.replace('_', ' ')} {n:,}" for name, n in bounds.items() if n is not None]
        return f"must be {' and '.join(said)}"


class OneOf(Constraint):
    """One of a few texts."""

    def __init__(self, *options: str) -> None:
        self.options = options

    def holds(self, value: Any) -> bool:
        """Whether a text is one of the options."""
        return value in self.options

    def __str__(self) -> str:
        """Say what the value must be."""
        return f"must be {_either(self.options)}"


class FileEnding(Constraint):
    """The path of a file whose ending says its format; or ``-``, where ``stdout`` allows it."""

    def __init__(self, *endings: str, stdout: bool = False) -> None:
        self.endings, self.stdout = endings, stdout

    def holds(self, value: Any) -> bool:
        """Whether a path has one of the endings, in upper or lower case."""
        return Path(value).suffix.lower() in self.endings or (self.stdout and value == "-")

    def __str__(self) -> str:
        """Say what the value must be."""
        also = ", or be - (standard output)" if self.stdout else ""
        return f"must end in {_either(self.endings)}{also}"


@dataclass(frozen=True)
class Date(Constraint):
    """A date, or a date and time, in any way of writing that pandas reads; or one of some words."""

    words: tuple[str, ...] = ()

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def holds(self, value: Any) -> bool:
        """Whether a text is a date."""
        import pandas as pd

        if value in self.words:
            return True
        try:
            return value != "now" and not pd.isna(pd.Timestamp(value))
        except ValueError:
            return False

    def __str__(self) -> str:
        """Say what the value must be."""
        return " or ".join(["must be a date, such as 2016-05-01", *self.words])


@dataclass(frozen=True)
class TimeZone(Constraint):
    """A time zone by its IANA name."""

    def holds(self, value: Any) -> bool:
        """Whether the zone is known on this machine."""
        from zoneinfo import ZoneInfo

        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            return False
        return True

    def __str__(self) -> str:
        """Say what the value must be."""
        return "must be a time zone, such as Europe/Berlin or UTC"


@dataclass(frozen=True)
class Shift(Constraint):
    """Working hours from one time of day to another: the next day's, if that is not later."""

    def holds(self, value: Any) -> bool:
        """Whether a text is two different times of day."""
        try:
            begin, end = parse_shift(value)
        except ValueError:
            return False
        return begin != end

    def __str__(self) -> str:
        """Say what the value must be."""
        return "must be two times of day, such as 08:00-18:00, 22:00-06:00 or 00:00-24:00"


def parse_shift(text: str) -> tuple[int, int]:
    """Read the two times of a shift, in minutes since midnight; raises ValueError.

    Examples
    --------
    >>> parse_shift("08:30-18:00"), parse_shift("00:00-24:00")
    ((510, 1080), (0, 1440))
    """
    match = re.fullmatch(r"(\d\d?):(\d\d)\s*-\s*(\d\d?):(\d\d)", text.strip())
    if match is None:
        raise ValueError(text)
    numbers = [int(each) for each in match.groups()]
    begin, end = (60 * hour + minute for hour, minute in (numbers[:2], numbers[2:]))
    if max(numbers[1], numbers[3]) > 59 or begin >= 24 * 60 or end > 24 * 60:
        raise ValueError(text)
    return begin, end


@dataclass(frozen=True)
class NoPassword(Constraint):
    """A path, or the address of a database without a password in plain text."""

    def holds(self, value: Any) -> bool:
        """Whether there is no password, or only the name of an environment variable."""
        address = re.match(r"[A-Za-z][\w+.-]*://(.*)", value, re.DOTALL)
        if address is None:
            return True
        before, at, _ = address[1].rpartition("@")
        _, colon, password = before.partition(":")
        secrets = re.findall(r"(?i)[?&;](?:password|passwd|pwd|token)=([^&;]*)", value)
        secrets += [password] if at and colon else []
        return all(not each or re.fullmatch(r"\$\w+", each) for each in secrets)

    def __str__(self) -> str:
        """Say what the value must be."""
        return "must name an environment variable instead of a password, as in user:$PASSWORD@host"


@dataclass(frozen=True)
class Delimiter(Constraint):
    """What separates the columns of a CSV file."""

    def holds(self, value: Any) -> bool:
        """Whether a text is one ASCII character that CSV does not need for something else."""
        return len(value) == 1 and value.isascii() and value not in '"\r\n'

    def __str__(self) -> str:
        """Say what the value must be."""
        return "must be one ASCII character, but no quote and no line break"


def check_config(config: Any, prefix: str = "") -> None:
    """Refuse a config with a value that breaks a constraint of its field, or with an unknown key.

    Parameters
    ----------
    config : dataclass instance
        A whole config, or a part of one.
    prefix : str
        The key of the part, with a dot at its end.

    Raises
    ------
    InputError
        Gives the dotted key, the value and what it must be.
    """
    for key, value, constraints in walk_config(config, prefix):
        for constraint in constraints:
            if value is not None and not constraint.holds(value):
                shown = "***" if isinstance(constraint, NoPassword) else _show(value)
                raise InputError(f"{key}={shown}: {constraint}.")


def walk_config(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, list[Constraint]]]:
    """Walk the values of a config: give the dotted key, the value and its constraints.

    Raises
    ------
    InputError
        A key was added (``+key=value``) that the config does not have.
    """
    hints = get_type_hints(type(config), include_extras=True)
    for name in vars(config).keys() - hints.keys():
        near = get_close_matches(name, hints, n=1)
        instead = f" Did you mean {prefix}{near[0]}?" if near else ""
        raise InputError(f"{prefix}{name}: there is no such key in the config.{instead}")
    for name, hint in hints.items():
        yield from _walk(f"{prefix}{name}", getattr(config, name), hint)


def _walk(key: str, value: Any, hint: Any) -> Iterator[tuple[str, Any, list[Constraint]]]:
    if get_origin(hint) in (Union, UnionType):  # the only unions of configs are with None
        (hint,) = [each for each in get_args(hint) if each is not NoneType]
    constraints: list[Constraint] = []
    if get_origin(hint) is Annotated:
        hint, *constraints = get_args(hint)
    if is_dataclass(value):
        yield from walk_config(value, f"{key}.")
    elif get_origin(hint) is list and value is not None:
        for place, item in enumerate(value):
            yield from _walk(f"{key}[{place}]", item, get_args(hint)[0])
    elif get_origin(hint) is dict and value is not None:
        for name, item in value.items():
            yield from _walk(f"{key}.{name}", item, get_args(hint)[1])
    else:
        yield key, value, ([Finite()] if hint is float else []) + constraints


def _either(options: tuple[str, ...]) -> str:
    return " or ".join(filter(None, [", ".join(options[:-1]), options[-1]]))


def _show(value: Any) -> str:
    return repr(value) if isinstance(value, str) and not value.isprintable() else str(value)
