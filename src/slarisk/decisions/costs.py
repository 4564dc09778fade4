"""What each outcome of each ticket costs, in dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats


# Losses closer than this share of all the money at stake are equal: sums of dollars differ by as
# much when the same tickets are added in another order.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class CostMatrix:
    """The costs of the four outcomes, ticket by ticket.

    Parameters
    ----------
    tn : array of shape (n,)
        Dollars lost when the ticket is left and meets its target.
    fp : array of shape (n,)
        Dollars lost when it is escalated and would have met its target (a false alarm).
    fn : array of shape (n,)
        Dollars lost when it is left and breaches (a missed breach).
    tp : array of shape (n,)
        Dollars lost when it is escalated and would have breached.
    """

    tn: Floats
    fp: Floats
    fn: Floats
    tp: Floats

    def __len__(self) -> int:
        """Count the tickets."""
        return len(self.tn)

    def take(self, index: npt.NDArray[Any]) -> CostMatrix:
        """Keep some tickets, by position or by a mask."""
        return CostMatrix(self.tn[index], self.fp[index], self.fn[index], self.tp[index])

    def thresholds(self) -> Floats:
        """Compute the probability of breach above which escalating each ticket pays.

        Returns
        -------
        array of shape (n,)
            ``p* = (fp - tn) / (fp - tn + fn - tp)``, infinite where the denominator is not
            positive: no probability makes escalating such a ticket pay.

        References
        ----------
        C. Elkan (2001), "The Foundations of Cost-Sensitive Learning", IJCAI, equation 2.

        Examples
        --------
        >>> costs = cost_matrix(np.array([500.0, 50.0, 0.0]), 20.0, charged=1, effectiveness=0.8)
        >>> costs.thresholds().round(3)
        array([0.05, 0.5 ,  inf])
        """
        alarm = self.fp - self.tn
        denominator = alarm + self.fn - self.tp
        thresholds = np.full(len(self), np.inf)
        np.divide(alarm, denominator, out=thresholds, where=denominator > 0)
        return thresholds

    def losses(self, breach: Bools, escalate: Bools) -> Floats:
        """Compute the dollars lost on each ticket once its outcome is known, shape (n,).

        ``breach`` says whether each ticket breached, or would have if left.
        """
        escalated = np.where(breach, self.tp, self.fp)
        left = np.where(breach, self.fn, self.tn)
        return np.where(escalate, escalated, left)

    def expected(self, probability: Floats) -> tuple[Floats, Floats]:
        """Compute the expected loss of each ticket if left, and if escalated, in dollars.

        ``probability`` is that of a breach if the ticket is left; all arrays have shape (n,).
        """
        left = probability * self.fn + (1 - probability) * self.tn
        escalated = probability * self.tp + (1 - probability) * self.fp
        return left, escalated

    def expected_saving(self, probability: Floats) -> Floats:
        """Compute the dollars that escalating each ticket is expected to save, shape (n,)."""
        left, escalated = self.expected(probability)
        return left - escalated


def cost_matrix(
    breach_cost: npt.ArrayLike,
    escalation_cost: npt.ArrayLike,
    charged: float,
    effectiveness: float,
) -> CostMatrix:
    """Compute the costs of the four outcomes, in dollars.

    ========  =================  =============================================
    decision  meets its target   breaches
    ========  =================  =============================================
    leave     0                  breach cost
    escalate  escalation cost    escalation cost * charged
                                 + (1 - effectiveness) * breach cost
    ========  =================  =============================================

    Parameters
    ----------
    breach_cost : array of shape (n,)
        Dollars lost if the ticket breaches unattended.
    escalation_cost : array of shape (n,) or scalar
        Dollars an escalation costs.
    charged : float
        The share of the escalation cost paid when the ticket would have breached.
    effectiveness : float
        The share of the breach cost that an escalation averts.

    Returns
    -------
    CostMatrix

    Examples
    --------
    >>> costs = cost_matrix(np.array([500.0]), 20.0, charged=1, effectiveness=0.8)
    >>> [round(float(cost[0]), 2) for cost in (costs.tn, costs.fp, costs.fn, costs.tp)]
    [0.0, 20.0, 500.0, 120.0]
    """
    breach = np.array(breach_cost, dtype=np.float64)
    escalation = np.broadcast_to(np.asarray(escalation_cost, dtype=np.float64), breach.shape).copy()
    return CostMatrix(
        tn=np.zeros_like(breach),
        fp=escalation,
        fn=breach,
        tp=escalation * charged + (1 - effectiveness) * breach,
    )


def dollars(amount: float) -> str:
    """Write whole dollars, with the sign before the dollar.

    Examples
    --------
    >>> dollars(-1234.4)
    '-$1,234'
    """
    return f"{'-' if round(amount) < 0 else ''}${abs(round(amount)):,}"
