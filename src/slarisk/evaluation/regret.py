"""Decisions by the true risk of synthetic tickets: the least that can be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from slarisk.decisions.policies import PerTicket

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.timing import TimedCosts

# Moments at which an optimal decision is looked for: at creation, and shares of the target.
_SHARES = np.concatenate([[0.0], np.geomspace(1e-3, 0.999, 400)])


@dataclass(frozen=True, eq=False)
class Truth:
    """The true risk of n synthetic tickets.

    Attributes
    ----------
    probability : array of shape (n,)
        Of a breach, at creation.
    median_hours : array of shape (n,), optional
        Of the lognormal time that a ticket takes.
    spread : array of shape (n,), optional
        The deviation of its logarithm.
    """

    probability: Floats
    median_hours: Floats | None = None
    spread: Floats | None = None

    def losses(self, timed: TimedCosts, breach: Bools) -> dict[str, Floats]:
        """Dollars lost on each ticket by the best decisions at creation, and in time.

        Returns
        -------
        dict of arrays of shape (n,)
            ``at_creation``, and ``in_time`` where it is known how long tickets take.
        """
        chosen = PerTicket().decide(self.probability, timed.costs)
        lost = {"at_creation": timed.losses(breach, np.where(chosen, 0.0, np.inf))}
        if self.median_hours is not None and self.spread is not None:
            lost["in_time"] = timed.losses(breach, self.find_best_age(timed))
        return lost

    def find_best_age(self, timed: TimedCosts) -> Floats:
        """Find the age in hours at which it is best to escalate each ticket if it is still open.

        All that is learnt while a ticket waits is that it is still open, so that optimal stopping
        is to choose one moment. Ages are shares of the target, shape (n,); infinite is never.
        """
        assert self.median_hours is not None
        assert self.spread is not None
        costs, times = timed.costs, timed.times
        breached = self._survive(times.target_hours)
        best, least = np.full(len(costs), np.inf), np.zeros(len(costs))
        for share in _SHARES:
            age = share * times.target_hours
            lost = timed.lost_effect(age, times.target_hours, times.certain)
            in_vain = (self._survive(age) - breached) * (costs.fp - costs.tn)
            extra = in_vain + breached * (costs.tp + lost * timed.averted - costs.fn)
            better = extra < least
            best, least = np.where(better, age, best), np.where(better, extra, least)
        return best

    def _survive(self, hours: Floats) -> Floats:
        """Compute the chance that each ticket takes longer than so many hours."""
        assert self.median_hours is not None
        assert self.spread is not None
        with np.errstate(divide="ignore"):
            survive: Floats = ndtr((np.log(self.median_hours) - np.log(hours)) / self.spread)
        return survive
