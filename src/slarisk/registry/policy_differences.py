"""Name the config keys in which two policies differ."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING

from slarisk.decisions.effect import list_idle_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slarisk.config import AnalyzeConfig, DataPolicy, TrainConfig
    from slarisk.model.manifest import Manifest

    Policies = TrainConfig | AnalyzeConfig | Manifest
    Policy = Mapping[str, object]  # values by config key

_UNSET = "nothing"  # the value of a key that a config does not have
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
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    elif not isinstance(value, dict):
        return {key: value}
    flat: dict[str, object] = {}
    for name, part in value.items():
        flat |= flatten_config(part, f"{key}.{name}" if key else str(name))
    return flat


def describe_data_policy(data: DataPolicy) -> dict[str, object]:
    """Collect the keys that say what the rows of an export mean, by config key.

    The file's place and format are not among them.
    """
    said: dict[str, object] = {
        key: value
        for part in ("columns", "values", "events", "creation")
        for key, value in flatten_config(getattr(data, part), f"data.{part}").items()
    }
    return said if data.timezone is None else {**said, "data.timezone": data.timezone}


def describe_policy(config: Policies) -> dict[str, object]:
    """Collect the keys that say how tickets are read, labelled and priced.

    Runs of equal policies may compete for the same registered model.
    """
    cost = flatten_config(config.cost, "cost")
    idle = {f"cost.{key}" for key in list_idle_keys(config.cost)}
    return {
        **{key: value for key, value in cost.items() if key not in idle},
        **flatten_config(config.sla, "sla"),
        **flatten_config(config.data.label, "data.label"),
        **flatten_config(config.data.costs, "data.costs"),
        **describe_data_policy(config.data),
    }


def find_differing_keys(policies: Sequence[Policy]) -> list[str]:
    """List the keys that do not have the same value in all policies."""
    first, *others = policies
    keys = dict.fromkeys(key for policy in policies for key in policy)
    return [
        key
        for key in keys
        if any(
            (key in each) != (key in first) or each.get(key) != first.get(key) for each in others
        )
    ]


def format_keys(policy: Policy, keys: Sequence[str]) -> str:
    """Write some keys of a policy with their values, as on a command line."""
    return _join([f"{key}={_format_value(policy, key)}" for key in keys])


def format_differences(ours: Policy, theirs: Policy) -> str:
    """Write in which keys a run's policy differs from that of the champion.

    Examples
    --------
    >>> format_differences({"cost.escalation_cost": 5.0}, {"cost.escalation_cost": 20.0})
    'cost.escalation_cost=5 (champion: 20)'
    """
    return _join(
        [
            f"{key}={_format_value(ours, key)} (champion: {_format_value(theirs, key)})"
            for key in find_differing_keys([ours, theirs])
        ]
    )


def format_policy(policy: Policy) -> str:
    """Write the names of a policy and what an escalation costs under it."""
    return format_keys(policy, [key for key in policy if key.startswith("cost.") or key in _NAMING])


def _join(parts: Sequence[str]) -> str:
    more = [f"{len(parts) - _MOST_KEYS} more keys"] if len(parts) > _MOST_KEYS else []
    return ", ".join([*parts[:_MOST_KEYS], *more])


def _format_value(policy: Policy, key: str) -> str:
    value = policy.get(key, _UNSET)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return "null" if value is None else str(value)
