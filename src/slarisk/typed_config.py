"""From a composed Hydra config to its dataclasses, with every value checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from slarisk.constraints import check_config

if TYPE_CHECKING:
    from collections.abc import Mapping


_GROUPS = (
    "data",
    "sla",
    "cost",
    "features",
    "split",
    "model",
    "calibration",
    "decision",
    "experiment",
    "search",
)


def type_config(config: DictConfig) -> Any:
    """Turn a composed config, or a part of one, into its dataclasses, with all values checked.

    Raises
    ------
    InputError
        A value breaks a constraint of its key.
    """
    typed = OmegaConf.to_object(config)
    check_config(typed)
    return typed


def take_choices(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Take the options that a run chose of our config groups."""
    return {name: str(chosen[name]) for name in _GROUPS if chosen.get(name)}
