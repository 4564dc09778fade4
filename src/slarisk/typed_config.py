"""From a composed Hydra config to its dataclasses, with every value checked."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from slarisk.config import Label
from slarisk.constraints import check_config
from slarisk.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping


GROUPS = (
    "data",
    "sla",
    "clock",
    "cost",
    "features",
    "split",
    "model",
    "calibration",
    "decision",
    "moment",
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
    typed = _as_texts(OmegaConf.to_object(config))
    check_config(typed)
    return typed


def _as_texts(value: Any, key: str = "") -> Any:
    """Write numbers as text where YAML made numbers of names: ``{1: Critical}`` names a ``1``.

    Raises
    ------
    InputError
        YAML made a truth value or nothing of a name, and what was written is not to be known.
    """
    if isinstance(value, Label):
        several = isinstance(value.breach_value, list)
        values = value.breach_value if several else [value.breach_value]
        if any(each is None or isinstance(each, (list, dict)) for each in values) or not values:
            raise InputError(
                f"{key}breach_value: must be a value of the column, or a list of them."
            )
        texts = [str(each) for each in values]
        value.breach_value = texts if several else texts[0]
    if is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            setattr(value, each.name, _as_texts(getattr(value, each.name), f"{key}{each.name}."))
    elif isinstance(value, dict):
        for name in value:
            if name is None or isinstance(name, bool):
                raise InputError(
                    f"{key[:-1]}: YAML reads a name in it as {str(name).lower()}. Put quotes "
                    'around it, as in "Yes".'
                )
        return {str(name): _as_texts(part, f"{key}{name}.") for name, part in value.items()}
    return value


def take_choices(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Take the options that a run chose of our config groups."""
    return {name: str(chosen[name]) for name in GROUPS if chosen.get(name)}
