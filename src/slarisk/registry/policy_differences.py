"""Name the config keys in which two policies differ."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slarisk.config import AnalyzeConfig, DataPolicy, TrainConfig
    from slarisk.model.bundle import Manifest

    Policies = TrainConfig | AnalyzeConfig | Manifest

_UNSET = "nothing"  # how a key that a config does not have is written
_MOST_KEYS = 8
_NAMING = ("data.name", "sla.name", "cost.name")  # names mean nothing by themselves


def flatten_config(value: object, key: str = "") -> dict[str, object]:
    """Write a config, or a part of it, as values by dotted key.

    Examples
    --------
    >>> from slarisk.config import CostPolicy
    >>> flatten_config(CostPolicy("charged", 20, 1, 0.8), "cost")["cost.charged"]
    1
    """
    if is_dataclass(value) and not isinstance(value, type):
        parts: Mapping[str, object] = {
            each.name: getattr(value, each.name) for each in fields(value)
        }
    elif isinstance(value, dict):
        parts = value
    else:
        return {key: value}
    flat: dict[str, object] = {}
    for name, part in parts.items():
        flat |= flatten_config(part, f"{key}.{name}" if key else str(name))
    return flat


def describe_data_policy(data: DataPolicy) -> dict[str, object]:
    """What a data policy makes of an export, wherever the file lies and however it is written."""
    return {
        key: value
        for part in ("columns", "values", "events", "creation")
        for key, value in flatten_config(getattr(data, part), f"data.{part}").items()
    }


def describe_policy(config: Policies) -> dict[str, object]:
    """What labels and prices a ticket, and what its export means, by config key.

    Runs of equal policies may compete for the same registered model.
    """
    return {
        **flatten_config(config.cost, "cost"),
        **flatten_config(config.sla, "sla"),
        **flatten_config(config.data.label, "data.label"),
        **flatten_config(config.data.costs, "data.costs"),
        **describe_data_policy(config.data),
    }


def find_differing_keys(policies: Sequence[Mapping[str, object]]) -> list[str]:
    """List the keys that do not have the same value in all policies."""
    keys = dict.fromkeys(key for policy in policies for key in policy)
    return [key for key in keys if any(_differs(key, each, policies[0]) for each in policies[1:])]


def _differs(key: str, one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return (key in one) != (key in other) or one.get(key) != other.get(key)


def say_keys(policy: Mapping[str, object], keys: Sequence[str]) -> str:
    """Write some keys of a policy with their values, as on a command line."""
    said = [f"{key}={_say(policy.get(key, _UNSET))}" for key in keys[:_MOST_KEYS]]
    more = [f"{len(keys) - _MOST_KEYS} more keys"] if len(keys) > _MOST_KEYS else []
    return ", ".join([*said, *more])


def say_differences(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """Write in which keys a run's policy differs from that of the champion.

    Examples
    --------
    >>> say_differences({"cost.escalation_cost": 5.0}, {"cost.escalation_cost": 20.0})
    'cost.escalation_cost=5 (champion: 20)'
    """
    keys = find_differing_keys([ours, theirs])
    said = [
        f"{key}={_say(ours.get(key, _UNSET))} (champion: {_say(theirs.get(key, _UNSET))})"
        for key in keys[:_MOST_KEYS]
    ]
    more = [f"{len(keys) - _MOST_KEYS} more keys"] if len(keys) > _MOST_KEYS else []
    return ", ".join([*said, *more])


def say_policy(policy: Mapping[str, object]) -> str:
    """Write what a policy is told apart by: its names, and what an escalation costs."""
    keys = [key for key in policy if key.startswith("cost.") or key in _NAMING]
    return say_keys(policy, keys)


def _say(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return "null" if value is None else str(value)
