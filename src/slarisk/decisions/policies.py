"""Rules that turn probabilities and costs into escalate or leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from slarisk.config import DecisionKind
from slarisk.decisions.costs import Bools, CostMatrix, Floats
from slarisk.errors import InputError

if TYPE_CHECKING:
    from slarisk.config import Decision

Days = npt.NDArray[np.int64]


class DecisionPolicy(Protocol):
    """A rule that says which tickets to escalate."""

    def decide(self, probability: Floats, costs: CostMatrix, day: Days | None = None) -> Bools:
        """Say which tickets to escalate.

        Parameters
        ----------
        probability : array of shape (n,)
            The probability that each ticket breaches if left.
        costs : CostMatrix
            Of the same n tickets.
        day : int array of shape (n,), optional
            The day each ticket came in; without it they all came in on one.

        Returns
        -------
        bool array of shape (n,)
            True to escalate, False to leave.
        """
        ...


@dataclass(frozen=True)
class PerTicket:
    """Escalate every ticket whose probability exceeds its own threshold (Elkan 2001).

    With calibrated probabilities no other rule loses less in expectation. ``factor`` multiplies the
    thresholds.
    """

    factor: float = 1.0

    def decide(self, probability: Floats, costs: CostMatrix, day: Days | None = None) -> Bools:
        """Say which tickets to escalate; the day plays no part."""
        return np.greater(probability, self.factor * costs.thresholds())


@dataclass(frozen=True)
class SingleThreshold:
    """Escalate every ticket whose probability is at least ``threshold``, whatever it costs."""

    threshold: float

    def decide(self, probability: Floats, costs: CostMatrix, day: Days | None = None) -> Bools:
        """Say which tickets to escalate; costs and day play no part."""
        return np.greater_equal(probability, self.threshold)


@dataclass(frozen=True)
class Capacity:
    """Escalate at most ``per_day`` tickets a day: those that are expected to save most.

    A ticket that the per-ticket rule would leave is left. Of tickets that save the same, the
    earlier in the array goes first.
    """

    per_day: int

    def decide(self, probability: Floats, costs: CostMatrix, day: Days | None = None) -> Bools:
        """Say which tickets to escalate."""
        left, escalated = costs.expected(probability)
        pays = np.flatnonzero(PerTicket().decide(probability, costs))
        saving = (left - escalated)[pays]
        days = np.zeros(len(pays), dtype=np.int64) if day is None else day[pays]
        order = np.lexsort((-saving, days))  # a stable sort, so position breaks ties
        days = days[order]
        rank = np.arange(len(days)) - np.searchsorted(days, days)
        chosen = np.zeros(len(costs), dtype=np.bool_)
        chosen[pays[order[rank < self.per_day]]] = True
        return chosen


def make_policy(decision: Decision, threshold: float) -> DecisionPolicy:
    """Make the policy that a config names; ``threshold`` serves those that have just one."""
    factor = decision.break_even_factor
    if factor != 1 and decision.name is not DecisionKind.per_ticket:
        raise InputError(
            f"decision.break_even_factor={factor:g}: only decision=per_ticket has such a factor."
        )
    match decision.name:
        case DecisionKind.per_ticket:
            return PerTicket(factor)
        case DecisionKind.threshold | DecisionKind.grid:
            return SingleThreshold(threshold)
        case DecisionKind.capacity:
            if decision.per_day is None:
                raise InputError(
                    "decision.per_day=None: decision=capacity needs a number of tickets a day."
                )
            return Capacity(decision.per_day)
