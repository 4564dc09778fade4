"""Scenarios: the effect of preventing a share of the breaches of a segment.

A scenario is config: a segment, the share of its breaches that a measure prevents, and the cost of
the measure. The share is an assumption; the intervals cover the sampling of tickets alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slarisk.analysis.breakdowns import break_down
from slarisk.analysis.fields import NONE, Field, Outcomes, code_field, label_field, require_fields
from slarisk.arrays import Bools
from slarisk.config import DataPolicy, Scenario
from slarisk.errors import InputError
from slarisk.stats.rates import loss_interval

_RANGE = ("at_least", "below")


@dataclass(frozen=True)
class ScenarioResult:
    """The result of a scenario.

    ``avoided`` is a whole number of breaches, as in the notebook; ``saved``, ``new_cost`` and
    ``net`` (dollars) and ``new_rate`` follow from it. ``expected`` breaches and ``expected_saved``
    dollars are the same before rounding, with their intervals.
    """

    key: str
    title: str
    segment: str
    reduction: float
    tickets: int
    breaches: int
    avoided: int
    expected: float
    expected_low: float
    expected_high: float
    new_rate: float
    new_cost: float
    saved: float
    expected_saved: float
    saved_low: float
    saved_high: float
    cost: float
    net: float


@dataclass(frozen=True)
class SkippedScenario:
    """A scenario that does not apply to these tickets, and the reason."""

    key: str
    title: str
    reason: str


def validate_scenarios(scenarios: Mapping[str, Scenario]) -> None:
    """Validate that scenarios define their segment in one way, and the costliest by some fields.

    Raises
    ------
    InputError
        Names the key.
    """
    for key, scenario in scenarios.items():
        where = f"scenarios.{key}"
        ways = [scenario.segment, scenario.any_of, scenario.costliest]
        if sum(bool(way) for way in ways) > 1:
            raise InputError(f"{where}: give one of segment, any_of and costliest.")
        if scenario.costliest and not scenario.costliest.by:
            raise InputError(f"{where}.costliest: needs fields in by.")


def simulate_scenarios(
    scenarios: Mapping[str, Scenario],
    tickets: pd.DataFrame,
    data: DataPolicy,
    outcomes: Outcomes,
    confidence: float,
) -> list[ScenarioResult | SkippedScenario]:
    """Simulate each scenario on the tickets.

    Raises
    ------
    InputError
        A scenario names an unknown field, or an invalid condition.
    """
    return [
        _simulate(key, scenario, tickets, data, outcomes, confidence)
        for key, scenario in scenarios.items()
    ]


def _simulate(
    key: str,
    scenario: Scenario,
    tickets: pd.DataFrame,
    data: DataPolicy,
    outcomes: Outcomes,
    confidence: float,
) -> ScenarioResult | SkippedScenario:
    costliest = scenario.costliest
    conditions = scenario.any_of or [scenario.segment]
    names = costliest.by if costliest else [name for each in conditions for name in each]
    place = f"scenarios.{key}"
    present = require_fields(tickets, data, names, place)
    if missing := [name for name in names if name not in present]:
        return SkippedScenario(
            key, scenario.title, f"the data policy has no field {', '.join(missing)}"
        )
    if costliest:
        conditions = find_costliest(
            [code_field(tickets, data, name) for name in names], outcomes, costliest.count
        )
    mask = np.zeros(len(tickets), dtype=bool)
    for each in conditions:
        mask |= find_segment(tickets, data, each, place)
    if not mask.any():
        return SkippedScenario(key, scenario.title, f"no ticket has {describe_segment(conditions)}")
    return simulate(key, scenario, describe_segment(conditions), mask, outcomes, confidence)


def simulate(
    key: str, scenario: Scenario, segment: str, mask: Bools, outcomes: Outcomes, confidence: float
) -> ScenarioResult:
    """Simulate preventing a share of the breaches of the tickets in ``mask`` (at least one).

    Each breach of the segment is equally likely to be prevented, so the expected saving is the same
    share of the segment's loss.
    """
    breach, price = outcomes.breach[mask], outcomes.price[mask]
    lost, breaches, share = float(outcomes.loss[mask].sum()), int(breach.sum()), scenario.reduction
    avoided = round(share * breaches)
    saved = avoided * lost / breaches if breaches else 0.0
    low, high = loss_interval(breach, np.ones(len(breach)), confidence)
    saved_low, saved_high = loss_interval(breach, price, confidence)
    cost = scenario.cost + scenario.cost_per_ticket * len(breach)
    return ScenarioResult(
        key=key,
        title=scenario.title,
        segment=segment,
        reduction=share,
        tickets=len(breach),
        breaches=breaches,
        avoided=avoided,
        expected=share * breaches,
        expected_low=share * low,
        expected_high=share * high,
        new_rate=float((outcomes.breach.sum() - avoided) / len(outcomes.breach)),
        new_cost=float(outcomes.loss.sum()) - saved,
        saved=saved,
        expected_saved=share * lost,
        saved_low=share * saved_low,
        saved_high=share * saved_high,
        cost=cost,
        net=saved - cost,
    )


def find_costliest(fields: Sequence[Field], outcomes: Outcomes, count: int) -> list[dict[str, Any]]:
    """Find the combinations of levels with the highest total cost, as conditions."""
    table = break_down(fields, outcomes, 0.95).table.sort_values(
        "total_cost", ascending=False, kind="stable"
    )
    rows = table[[field.name for field in fields]].head(count).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


def find_segment(
    tickets: pd.DataFrame, data: DataPolicy, conditions: Mapping[str, Any], key: str
) -> Bools:
    """Find the tickets that meet every condition.

    Parameters
    ----------
    tickets : DataFrame
        With the fields that the conditions name.
    data : DataPolicy
    conditions : mapping
        By field: a value, a list of values, ``{not: value or list}``, or a range of numbers
        ``{at_least: 8, below: 18}``. Without any, all tickets are meant.
    key : str
        The config key of the conditions, for messages.
    """
    mask = np.ones(len(tickets), dtype=bool)
    for name, condition in conditions.items():
        place = f"{key}.segment.{name}"
        if not isinstance(condition, dict):
            mask &= _is_one_of(tickets, data, name, condition)
        elif set(condition) == {"not"}:
            mask &= ~_is_one_of(tickets, data, name, condition["not"])
        elif condition and set(condition) <= set(_RANGE):
            mask &= _is_between(tickets, data, name, condition, place)
        else:
            raise InputError(
                f"{place}={condition}: a condition is a value, a list of values, "
                "{not: value}, or {at_least: number, below: number}."
            )
    return mask


def _is_one_of(tickets: pd.DataFrame, data: DataPolicy, name: str, values: Any) -> Bools:
    wanted = {str(value) for value in (values if isinstance(values, list) else [values])}
    field = code_field(tickets, data, name)
    if name == "hour":
        wanted = {value.zfill(2) for value in wanted}
    wanted_levels = np.array([level in wanted for level in field.levels], dtype=bool)
    mask: Bools = wanted_levels[field.codes]
    return mask


def _is_between(
    tickets: pd.DataFrame, data: DataPolicy, name: str, limits: Mapping[str, Any], place: str
) -> Bools:
    field = code_field(tickets, data, name)
    numbers = pd.to_numeric(pd.Series(field.levels, dtype="str").replace(NONE, None), "coerce")
    if numbers.isna().all():
        raise InputError(f"{place}: {name} holds no numbers, so it cannot be in a range.")
    inside = np.ones(len(numbers), dtype=bool)
    for limit, value in limits.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise InputError(f"{place}.{limit}={value}: must be a number.")
        inside &= (numbers >= value if limit == "at_least" else numbers < value).to_numpy()
    mask: Bools = inside[field.codes]
    return mask


def describe_segment(conditions: Sequence[Mapping[str, Any]]) -> str:
    """Write conditions in words.

    Examples
    --------
    >>> describe_segment([{"priority": "Critical", "channel": ["Chat", "Email"]}])
    'priority Critical and channel Chat or Email'
    >>> describe_segment([{"hour": {"at_least": 18}}, {"weekday": {"not": "Monday"}}])
    'hour at least 18; or weekday not Monday'
    >>> describe_segment([{}])
    'any value'
    """
    alternatives = []
    for each in conditions:
        parts = [f"{label_field(k).lower()} {_describe(v)}" for k, v in each.items()]
        alternatives.append(" and ".join(parts) or "any value")
    return "; or ".join(alternatives)


def _describe(condition: Any) -> str:
    if isinstance(condition, dict):
        return " and ".join(f"{k.replace('_', ' ')} {_describe(v)}" for k, v in condition.items())
    if isinstance(condition, list):
        return " or ".join(str(value) for value in condition)
    return str(condition)
