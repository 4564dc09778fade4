"""The recipe of a study, ``experiments/<name>/study.yaml``: its runs and its tables."""

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
PART, DRAW = "data", "draw"  # label columns of results.csv that are not axes

# The overrides of each label of an axis; in a list, each override is its own label.
Axis = dict[str, str | list[str]] | list[str]
# What differs between the draws of a part; its intervals cover this variation.
Over = Literal["samples", "splits", "periods", "seeds"]
Unit = Literal["per_1000", "dollars", "number", "percent"]

_STRICT = with_config(ConfigDict(extra="forbid"))


@_STRICT
@dataclass(frozen=True)
class StudyPart:
    """The runs on one data set: every combination of the axes, for every draw.

    ``axes`` are merged into those of the study by name; an empty one removes an axis. ``over``
    says what differs between draws.
    """

    overrides: list[str] = field(default_factory=list)
    axes: dict[str, Axis] = field(default_factory=dict)
    over: Over = "seeds"
    draws: Axis = field(default_factory=dict)


@_STRICT
@dataclass(frozen=True)
class ColumnSpec:
    """A table column: the mean of a metric over the draws, with its confidence interval.

    With ``against`` (labels by axis), the column is the paired difference between the metric of
    the row and that of the row which has these labels instead.
    """

    metric: str
    unit: Unit = "per_1000"
    digits: int = 3
    interval: bool = True
    against: dict[str, str] = field(default_factory=dict)


@_STRICT
@dataclass(frozen=True)
class FigureSpec:
    """A figure of one table column: a dot for each row, or a line along the axis ``along``."""

    file: str
    column: str
    along: str | None = None
    log: bool = False


@_STRICT
@dataclass(frozen=True)
class TableSpec:
    """A table of the README: a row for each combination of labels, a column for each title.

    ``where`` lists, by axis, the labels that are shown. ``baselines`` names the axis under which
    the trivial rules appear as further labels.
    """

    columns: dict[str, ColumnSpec]
    title: str = ""
    where: dict[str, list[str]] = field(default_factory=dict)
    baselines: str | None = None
    figure: FigureSpec | None = None


@_STRICT
@dataclass(frozen=True)
class Recipe:
    """A study: the overrides of all its runs, its axes, its parts by name, and its tables."""

    parts: dict[str, StudyPart]
    tables: list[TableSpec]
    overrides: list[str] = field(default_factory=list)
    axes: dict[str, Axis] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyJob:
    """One run of a study: its labels (part, axes, draw) and its overrides."""

    labels: dict[str, str]
    overrides: tuple[str, ...]


def read_recipe(folder: Path) -> Recipe:
    """Read the recipe in a study's folder.

    Raises
    ------
    InputError
        There is none, or one of its keys is unknown or has a wrong value.
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


def plan_jobs(recipe: Recipe) -> list[StudyJob]:
    """List the runs of a study, in the order of its recipe."""
    jobs = []
    for name, part in recipe.parts.items():
        axes = {axis: expand_axis(each) for axis, each in (recipe.axes | part.axes).items() if each}
        axes[DRAW] = expand_draws(part.draws)
        for choice in itertools.product(*(options.items() for options in axes.values())):
            labels = dict(zip(axes, (label for label, _ in choice), strict=True))
            own = itertools.chain.from_iterable(overrides for _, overrides in choice)
            overrides = (*recipe.overrides, *part.overrides, *own)
            jobs.append(StudyJob({PART: name, **labels}, overrides))
    return jobs


def expand_axis(axis: Axis) -> dict[str, list[str]]:
    """List the overrides of each label of an axis.

    Examples
    --------
    >>> expand_axis(["model=lr"])
    {'lr': ['model=lr']}
    >>> expand_axis({"free": ["cost=notebook", "sla=notebook"]})
    {'free': ['cost=notebook', 'sla=notebook']}
    """
    if isinstance(axis, list):
        return {re.sub(r"^[^=]*=", "", each): [each] for each in axis}
    return {label: [each] if isinstance(each, str) else each for label, each in axis.items()}


def expand_draws(draws: Axis) -> dict[str, list[str]]:
    """List the overrides of each draw; draws without labels are numbered from 1.

    Examples
    --------
    >>> expand_draws(["split.seed=7", "split.seed=8"]), expand_draws({})
    ({'1': ['split.seed=7'], '2': ['split.seed=8']}, {'1': []})
    """
    if isinstance(draws, list):
        return {str(place): [each] for place, each in enumerate(draws, start=1)}
    return expand_axis(draws) or {"1": []}
