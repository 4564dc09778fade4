"""What an escalation averts, by when it comes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import CostPolicy, EffectKind, FadingBy
from slarisk.errors import InputError

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats


# the keys of a cost policy that each kind of effect reads
EFFECT_KEYS = {
    EffectKind.constant: (),
    EffectKind.fading: ("fading", "fading_by"),
    EffectKind.expedited: ("expedited_share", "expedited_spread"),
}


@dataclass(frozen=True)
class Effect:
    """The share of a breach's cost that an escalation averts, by the age at which it comes.

    Made of a cost policy by :func:`make_effect`. It never rises with age.
    """

    policy: CostPolicy

    @property
    def at_creation(self) -> float:
        """The share that is averted when a ticket is escalated as soon as it is created."""
        zero, one = np.zeros(1), np.ones(1)
        return float(self.share_averted(zero, one, np.ones(1, dtype=np.bool_))[0])

    def share_averted(self, age: Floats, target: Floats, certain: Bools) -> Floats:
        """Compute the share of the breach cost that is averted, array of shape (n,).

        Parameters
        ----------
        age : array of shape (n,)
            Hours on the clock since the ticket was created.
        target : array of shape (n,)
            Hours that each ticket may take; NaN where nothing is known of it.
        certain : bool array of shape (n,)
            Whether a ticket has breached at this target, so that nothing is averted any more.

        Examples
        --------
        An escalated ticket takes a quarter of its target in the median. With all of the target
        left hardly one is too late, with a quarter left every other one is.

        >>> from slarisk.config import CostPolicy
        >>> effect = Effect(CostPolicy("", 20, 1, 1.0, EffectKind.expedited))
        >>> hours, target = np.array([0.0, 4.0, 6.0, 8.0]), np.full(4, 8.0)
        >>> effect.share_averted(hours, target, np.ones(4, dtype=bool)).round(3)
        array([0.99 , 0.876, 0.5  , 0.   ])
        """
        policy = self.policy
        if policy.effect is EffectKind.constant:
            kept = np.ones(len(age))
        elif policy.effect is EffectKind.fading:
            by_hours = policy.fading_by is FadingBy.hours
            passed = age if by_hours else _share_passed(age, target)
            points = np.array(policy.fading, dtype=np.float64)
            kept = np.interp(passed, points[:, 0], points[:, 1])
        else:
            left = np.maximum(1 - _share_passed(age, target), 0)
            with np.errstate(divide="ignore"):
                kept = _normal_cdf(np.log(left / policy.expedited_share) / policy.expedited_spread)
        late = certain & (age > 0) & (age >= target)
        averted: Floats = policy.effectiveness * np.where(late, 0.0, kept)
        return averted


def make_effect(cost: CostPolicy) -> Effect:
    """Make the effect of a cost policy.

    Raises
    ------
    InputError
        A key is set that this kind of effect does not read, or the points of ``cost.fading`` are
        not in order, or rise.
    """
    points, default = cost.fading, CostPolicy()
    for key in list_idle_keys(cost):
        if getattr(cost, key) != getattr(default, key):
            given = f"cost.{key}={getattr(cost, key)}"
            raise InputError(f"{given}: cost.effect={cost.effect.value} does not read it.")
    if not points or any(len(point) != 2 for point in points) or points[0][0] != 0:
        raise InputError(f"cost.fading={points}: must be points, the first at 0: [[0, 1], [1, 0]].")
    passed, kept = zip(*points, strict=True)
    if [*passed] != sorted(set(passed)) or [*kept] != sorted(kept, reverse=True):
        raise InputError(
            f"cost.fading={points}: the points must be in order, and what is left must not rise."
        )
    if not all(0 <= each <= 1 for each in kept):
        raise InputError(f"cost.fading={points}: what is left must be from 0 to 1.")
    return Effect(cost)


def list_idle_keys(cost: CostPolicy) -> list[str]:
    """List the keys of a cost policy that say nothing, since its effect does not read them."""
    every = [key for keys in EFFECT_KEYS.values() for key in keys]
    return [key for key in every if key not in EFFECT_KEYS[cost.effect]]


def describe_effect(cost: CostPolicy) -> str:
    """Describe what an escalation averts, and when it comes too late.

    Examples
    --------
    >>> from slarisk.config import CostPolicy
    >>> describe_effect(CostPolicy("", 20, 1, 0.8))
    '80% of the cost of a breach'
    >>> describe_effect(CostPolicy("", 20, 1, 0.8, EffectKind.fading))
    '80% of the cost of a breach, times 1 after 0% of the target, 0 after 100% of the target'
    """
    words = f"{cost.effectiveness:.0%} of the cost of a breach"
    if cost.effect is EffectKind.expedited:
        return (
            f"{words}, if the time is left that an escalated ticket takes: "
            f"{cost.expedited_share:.0%} of its target in the median, spread "
            f"{cost.expedited_spread:g}"
        )
    if cost.effect is EffectKind.fading:
        hours = cost.fading_by is FadingBy.hours
        points = [
            f"{kept:g} after {f'{passed:g} h' if hours else f'{passed:.0%} of the target'}"
            for passed, kept in cost.fading
        ]
        return f"{words}, times {', '.join(points)}"
    return words


def _share_passed(age: Floats, target: Floats) -> Floats:
    """Compute the share of the target that has passed: none at creation, whatever the target."""
    share: Floats = np.divide(age, target, out=np.zeros(len(age)), where=age > 0)
    return share


def _normal_cdf(values: Floats) -> Floats:
    erf = np.asarray(np.frompyfunc(math.erf, 1, 1)(values / math.sqrt(2)), dtype=np.float64)
    return (1 + erf) / 2
