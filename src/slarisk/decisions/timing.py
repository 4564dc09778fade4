"""Escalations in time: what it costs to escalate a ticket at an age, if it is still open then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.effect import Effect


@dataclass(frozen=True, eq=False)
class TicketTimes:
    """How long n tickets were open, and how long they may be, in hours on the clock.

    Attributes
    ----------
    open_hours : array of shape (n,)
        A ticket can be escalated at any age below; 0 for those that arrived resolved, infinite for
        those still open.
    target_hours : array of shape (n,)
        The age at which a ticket breaches; NaN if that is not known.
    certain : bool array of shape (n,)
        Whether a ticket breaches at its target, which may also be an estimate.
    """

    open_hours: Floats
    target_hours: Floats
    certain: Bools

    def take(self, index: npt.NDArray[Any]) -> TicketTimes:
        """Keep some tickets, by position or by a mask."""
        return TicketTimes(self.open_hours[index], self.target_hours[index], self.certain[index])

    def share_open(self) -> Floats:
        """Compute the share of its target during which each ticket was open, shape (n,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            share: Floats = self.open_hours / self.target_hours
        return np.where(self.open_hours <= 0, 0.0, share)


@dataclass(frozen=True, eq=False)
class TimedCosts:
    """The costs of n tickets if they are escalated at an age.

    Parameters
    ----------
    costs : CostMatrix
        If they are escalated at creation.
    times : TicketTimes
    effect : Effect
        What is left of the effect at an age.
    """

    costs: CostMatrix
    times: TicketTimes
    effect: Effect

    def take(self, index: npt.NDArray[Any]) -> TimedCosts:
        """Keep some tickets, by position or by a mask."""
        return TimedCosts(self.costs.take(index), self.times.take(index), self.effect)

    @property
    def averted(self) -> Floats:
        """Dollars that escalating each ticket at creation averts if it would have breached."""
        costs = self.costs
        return costs.fn - costs.tp + self.effect.policy.charged * (costs.fp - costs.tn)

    def lost_effect(self, age: Floats, target: Floats, certain: Bools) -> Floats:
        """Compute the share of the effect at creation that is lost by an age."""
        first = self.effect.at_creation
        if first == 0:
            return np.zeros(len(age))
        return 1 - self.effect.share_averted(age, target, certain) / first

    def at_age(self, age: Floats) -> CostMatrix:
        """Compute the costs of the four outcomes if each ticket is escalated at an age in hours."""
        lost = self.lost_effect(age, self.times.target_hours, self.times.certain)
        return replace(self.costs, tp=self.costs.tp + lost * self.averted)

    def losses(self, breach: Bools, at: Floats) -> Floats:
        """Compute the dollars lost on each ticket, shape (n,).

        Parameters
        ----------
        breach : bool array of shape (n,)
            Whether each ticket breached, or would have if left.
        at : array of shape (n,)
            The age in hours at which a ticket is escalated if it is still open; infinite: never.
        """
        times = self.times
        acted = at < times.open_hours
        age = np.where(acted, at, 0.0)
        lost = self.lost_effect(age, times.target_hours, times.certain)
        escalated = np.where(breach, self.costs.tp + lost * self.averted, self.costs.fp)
        left = np.where(breach, self.costs.fn, self.costs.tn)
        return np.where(acted, escalated, left)
