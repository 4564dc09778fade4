"""Every constraint of every config, read from its field: a new field is tested by itself."""

import math
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, get_args, get_type_hints

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from slarisk.command_line import register_schemas
from slarisk.config import ROOTS
from slarisk.constraints import (
    Bounds,
    Date,
    Delimiter,
    FileEnding,
    Finite,
    NoPassword,
    OneOf,
    Shift,
    TimeZone,
    check_config,
    walk_config,
)
from slarisk.errors import InputError
from slarisk.typed_config import type_config

CONF = Path(__file__).resolve().parents[1] / "conf"
# so that every part of a config is there
EVENTS = "data.events={order: created_at}"
TAKEN = "+data.events.take={resolved_at: {which: first}}"
CLOCK = ["clock=business_hours", "sla.clock.holidays=[{country: DE}]"]
CLOCK += ["+sla.clock.priorities={Critical: {timezone: Europe/Berlin}}"]
QUARANTINE = "data.label.quarantine=[{created: [2024-02-01, 2024-02-05], why: a test}]"
WHOLE = {
    "train": [EVENTS, TAKEN, QUARANTINE, *CLOCK, "features=context"],
    "analyze": [EVENTS, TAKEN, QUARANTINE, *CLOCK],
    "score": ["decision=capacity"],
}


@pytest.fixture(scope="module", params=ROOTS)
def whole(request):
    """The composed config of a command, and a way to set one of its keys."""
    register_schemas()
    with initialize_config_dir(str(CONF), job_name="test"):
        config = compose(request.param, WHOLE.get(request.param, []))

    def set_key(key, value):
        before = OmegaConf.select(config, key)
        OmegaConf.update(config, key, value)
        try:
            type_config(config)
        finally:
            OmegaConf.update(config, key, before)  # a copy would take longer

    return type_config(config), set_key


def list_examples(constraint, real):
    """Values at the edge of a constraint, on its right and on its wrong side."""

    def step(number, direction):
        return math.nextafter(number, direction * math.inf) if real else number + direction

    match constraint:
        case Finite():
            return [], [math.nan, math.inf, -math.inf]
        case Bounds(at_least, above, at_most, below):
            good = [bound for bound in (at_least, at_most) if bound is not None]
            bad = [bound for bound in (above, below) if bound is not None]
            for bound, list_, direction in (
                (at_least, bad, -1),
                (at_most, bad, 1),
                (above, good, 1),
                (below, good, -1),
            ):
                list_ += [] if bound is None else [step(bound, direction)]
            return good, bad
        case OneOf():
            return constraint.options, ["xlsx", "", f"{constraint.options[0]} "]
        case FileEnding():
            names = [f"a.b/c{ending}" for ending in constraint.endings]
            stdout = ["-"] if constraint.stdout else []
            bad = ["x.xlsx", "x.json", "x", "x.csv.gz", ".", "", *([] if stdout else ["-"])]
            return [*names, names[0].upper(), *stdout], bad
        case Date():
            return ["2016-05-01", "2024-01-01T14:00:01+02:00"], ["soon", "", "NaT", "2016-13-01"]
        case TimeZone():
            return ["Europe/Berlin", "UTC"], ["", "Berlin", "../Europe/Berlin", "europe/nowhere"]
        case Shift():
            bad = ["08:00", "08:00-08:00", "8-18", "08:00-24:01", "25:00-26:00", ""]
            return ["08:30-18:00", "22:00-06:00", "00:00-24:00"], bad
        case Delimiter():
            return [",", ";", "\t"], ["", "||", "\n", '"', "é"]
        case NoPassword():
            good = ["a.csv", "-", "c:/a@b.csv", "sqlite:///desk.db", "db://me@host:1/x"]
            good += ["db://me:$SECRET@host/x", "db://host/x?password=$SECRET"]
            return good, ["db://me:secret@host/x", "db://host/x?user=me&PASSWORD=a"]
    raise AssertionError(f"no examples for {constraint!r}")


@pytest.mark.slow
def test_at_the_edge_of_every_constraint(whole):
    typed, set_key = whole
    tried = 0
    for key, _, constraints in walk_config(typed):
        real = Finite() in constraints
        for constraint in constraints:
            good, bad = list_examples(constraint, real)
            for value in good:
                set_key(key, value)
            for value in bad:
                with pytest.raises(InputError) as refused:
                    set_key(key, value)
                assert str(refused.value).startswith(f"{key}="), (key, value)
                tried += 1
    assert tried > 5


def list_parts(schema):
    """The dataclasses that a config is made of, by the types of its fields."""
    found = {schema}
    todo = [*get_type_hints(schema).values()]
    while todo:
        hint = todo.pop()
        todo += get_args(hint)
        if is_dataclass(hint) and hint not in found:
            found.add(hint)
            todo += get_type_hints(hint).values()
    return found


def list_instances(config):
    if is_dataclass(config):
        yield type(config)
        for each in fields(config):
            yield from list_instances(getattr(config, each.name))
    elif isinstance(config, dict):
        for value in config.values():
            yield from list_instances(value)
    elif isinstance(config, list):
        for value in config:
            yield from list_instances(value)


def test_no_part_of_a_config_is_left_out_above(whole):
    typed, _ = whole
    assert set(list_instances(typed)) == list_parts(type(typed))


@pytest.mark.parametrize(
    ("root", "override", "key"),
    [
        ("train", "evaluation.confidence=1.5", "evaluation.confidence=1.5"),
        ("train", "cost.effectiveness=nan", "cost.effectiveness=nan"),
        ("train", "sla.targets.Low=0", "sla.targets.Low=0.0"),
        ("train", "split.test_from=soon", "split.test_from=soon"),
        (
            "train",
            "data.label.quarantine=[{created: [soon, 2024-01-01], why: x}]",
            "data.label.quarantine[0].created[0]=soon",
        ),
        ("train", "+evaluation.bootstrap_drows=3", "evaluation.bootstrap_drows"),
        ("train", "+serch=gbm", "serch"),
        ("score", "rejected=wrong.parquet", "rejected=wrong.parquet"),
        ("analyze", "capacities=[10,0]", "capacities[1]=0"),
        ("analyze", "+scenarios.S1.coast=3", "scenarios.S1.coast"),
        ("promote", "margin=inf", "margin=inf"),
    ],
)
def test_a_refusal_begins_with_the_key(composed, root, override, key):
    with pytest.raises(InputError) as refused:
        composed(override, root=root)
    assert str(refused.value).startswith(f"{key}:")


def test_an_unknown_key_is_told_with_the_one_that_is_most_like_it(composed):
    with pytest.raises(InputError, match=r"evaluation\.bootstrap_draws"):
        composed("+evaluation.bootstrap_drows=3")


@dataclass
class Inner:
    shares: list[Annotated[float, Bounds(at_least=0, at_most=1)]]
    none: Annotated[int, Bounds(at_least=1)] | None = None


@dataclass
class Outer:
    parts: dict[str, Inner]
    free: float = 0.0


def test_the_walk_goes_into_lists_mappings_and_parts():
    config = Outer({"a": Inner([0.5, 1.0], None)})
    assert [key for key, _, _ in walk_config(config)] == [
        "parts.a.shares[0]",
        "parts.a.shares[1]",
        "parts.a.none",
        "free",
    ]
    check_config(config)
    config.parts["a"].shares[1] = 1.1
    with pytest.raises(InputError, match=r"^x\.parts\.a\.shares\[1\]=1\.1: "):
        check_config(config, "x.")
    with pytest.raises(InputError, match=r"^free=nan: "):
        check_config(Outer({}, math.nan))
