"""The recipe of a study, ``experiments/<name>/study.yaml``: which runs answer its question."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from slarisk.errors import InputError

RECIPE = "study.yaml"
PART, DRAW = "data", "draw"  # the columns of results.csv beside those of the axes

# What one axis varies: overrides by label, or overrides that are their own labels.
Overrides = str | list[str]
Axis = dict[str, Overrides] | list[str]
# What the draws of a part are, and so what its intervals are over.
Over = Literal["samples", "splits", "periods", "seeds"]
Unit = Literal["per_1000", "dollars", "number", "percent"]

_STRICT = with_config(ConfigDict(extra="forbid"))


@_STRICT
@dataclass(frozen=True)
class Part:
    """The runs on one data set: every combination of the axes, for every draw.

    ``axes`` replace those of the study by name, or add to them; an empty one takes it away.
    ``over`` says what differs between draws.
    """

    overrides: list[str] = field(default_factory=list)
    axes: dict[str, Axis] = field(default_factory=dict)
    over: Over = "seeds"
    draws: Axis = field(default_factory=dict)


@_STRICT
@dataclass(frozen=True)
class Column:
    """A column of a table: the mean of a metric over the draws, with its interval.

    ``against`` names labels of axes: the column is then the metric less that of the row which has
    these labels instead of its own, draw by draw.
    """

    metric: str
    unit: Unit = "per_1000"
    digits: int = 3
    interval: bool = True
    against: dict[str, str] = field(default_factory=dict)


@_STRICT
@dataclass(frozen=True)
class Picture:
    """A figure of one column of a table: a dot for each row, or a line along the axis ``along``."""

    file: str
    column: str
    along: str | None = None
    log: bool = False


@_STRICT
@dataclass(frozen=True)
class Table:
    """A table of the README: a row for each combination of labels, a column for each title.

    ``where`` keeps only some labels of an axis; ``baselines`` names the axis among whose labels
    the trivial rules appear as rows of their own.
    """

    columns: dict[str, Column]
    title: str = ""
    where: dict[str, list[str]] = field(default_factory=dict)
    baselines: str | None = None
    figure: Picture | None = None


@_STRICT
@dataclass(frozen=True)
class Recipe:
    """A study: overrides of all its runs, its axes, its parts by name, and its tables."""

    parts: dict[str, Part]
    tables: list[Table]
    overrides: list[str] = field(default_factory=list)
    axes: dict[str, Axis] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyJob:
    """One run of a study: its labels (part, axes, draw) and its overrides."""

    labels: dict[str, str]
    overrides: tuple[str, ...]


def read_recipe(folder: Path) -> Recipe:
    """Read a study's recipe.

    Raises
    ------
    InputError
        There is none, or a key in it is unknown or wrong.
    """
    path = folder / RECIPE
    try:
        return TypeAdapter(Recipe).validate_python(yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such study.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(each) for each in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from error


def list_jobs(recipe: Recipe) -> list[StudyJob]:
    """List the runs of a study, in the order of its recipe."""
    jobs = []
    for name, part in recipe.parts.items():
        axes = {axis: spread(each) for axis, each in (recipe.axes | part.axes).items() if each}
        axes[DRAW] = number(part.draws)
        for labels in itertools.product(*axes.values()):
            chosen = dict(zip(axes, labels, strict=True))
            own = [each for axis, label in chosen.items() for each in axes[axis][label]]
            overrides = (*recipe.overrides, *part.overrides, *own)
            jobs.append(StudyJob({PART: name, **chosen}, overrides))
    return jobs


def spread(axis: Axis) -> dict[str, list[str]]:
    """Give the overrides behind each label of an axis.

    Examples
    --------
    >>> spread(["model=lr"]), spread({"free": ["cost=notebook", "sla=notebook"]})
    ({'lr': ['model=lr']}, {'free': ['cost=notebook', 'sla=notebook']})
    """
    if isinstance(axis, list):
        return {re.sub(r"^[^=]*=", "", each): [each] for each in axis}
    return {label: [each] if isinstance(each, str) else each for label, each in axis.items()}


def number(draws: Axis) -> dict[str, list[str]]:
    """Give the overrides behind each draw; draws without labels are numbered from 1."""
    if isinstance(draws, list):
        return {str(place): [each] for place, each in enumerate(draws, start=1)}
    return spread(draws) or {"1": []}
