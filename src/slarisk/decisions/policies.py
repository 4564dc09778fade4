"""Decision policies: probabilities and costs in, escalate or leave out.

A policy is one class. Its fields are the keys of ``conf/decision/<name>.yaml`` that it reads, and
``threshold`` if it needs the one chosen in training; its class variables describe it to the rest
of the package. A new policy is a class here, listed in :data:`POLICIES`, a YAML, and its name
(and keys, if they are new) in ``config.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from slarisk.config import Decision, DecisionKind, Moment
from slarisk.decisions.facts import rank_tickets
from slarisk.decisions.stopping import Stopping, find_relative_odds
from slarisk.errors import InputError

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.facts import TicketFacts


class DecisionPolicy(ABC):
    """A rule that decides which tickets to escalate.

    Attributes
    ----------
    kind : DecisionKind
        Its name in the config.
    label : str
        Its name in plots.
    optimistic : bool
        Whether its threshold is picked on the test tickets; then it cannot be promoted, nor be
        chosen for an export.
    by_threshold : bool
        Whether it compares every ticket with one threshold.
    joint : bool
        Whether a decision depends on the other tickets. An export is decided about in parts, so
        such a policy must have this property: deciding about parts, and then about the tickets
        escalated in each, gives what deciding about all at once does.
    in_time : bool
        Whether it decides about open tickets at any age, by thresholds learnt for each.
    """

    kind: ClassVar[DecisionKind]
    label: ClassVar[str]
    optimistic: ClassVar[bool] = False
    by_threshold: ClassVar[bool] = False
    joint: ClassVar[bool] = False
    in_time: ClassVar[bool] = False

    @abstractmethod
    def decide(self, probability: Floats, costs: CostMatrix, tickets: TicketFacts) -> Bools:
        """Decide which tickets to escalate, whatever order they are in.

        Parameters
        ----------
        probability : array of shape (n,)
            The probability that each ticket breaches if left.
        costs : CostMatrix
            Of the same n tickets.
        tickets : TicketFacts
            Of the same n tickets.

        Returns
        -------
        bool array of shape (n,)
            True to escalate, False to leave.
        """

    @abstractmethod
    def describe(self) -> str:
        """Describe the rule in a phrase."""


@dataclass(frozen=True)
class PerTicket(DecisionPolicy):
    """Escalate every ticket whose probability exceeds its own threshold (Elkan 2001).

    With calibrated probabilities no other rule loses less in expectation. ``break_even_factor``
    multiplies the thresholds.
    """

    break_even_factor: float = 1.0

    kind: ClassVar = DecisionKind.per_ticket
    label: ClassVar = "per-ticket rule"

    def decide(
        self, probability: Floats, costs: CostMatrix, tickets: TicketFacts | None = None
    ) -> Bools:
        """Decide which tickets to escalate."""
        return np.greater(probability, self.break_even_factor * costs.thresholds())

    def describe(self) -> str:
        """Describe the rule in a phrase."""
        return "per ticket, against its own break-even probability"


@dataclass(frozen=True)
class SingleThreshold(DecisionPolicy):
    """Escalate every ticket whose probability is at least ``threshold``, whatever it costs."""

    threshold: float

    kind: ClassVar = DecisionKind.threshold
    label: ClassVar = "one threshold"
    by_threshold: ClassVar = True

    def decide(
        self, probability: Floats, costs: CostMatrix, tickets: TicketFacts | None = None
    ) -> Bools:
        """Decide which tickets to escalate."""
        return np.greater_equal(probability, self.threshold)

    def describe(self) -> str:
        """Describe the rule in a phrase."""
        return f"one threshold, {self.threshold:.3f}, chosen out of fold"


@dataclass(frozen=True)
class GridThreshold(SingleThreshold):
    """The notebook's mistake, for parity: one of 19 thresholds, picked on the test tickets."""

    kind: ClassVar = DecisionKind.grid
    label: ClassVar = "grid threshold"
    optimistic: ClassVar = True

    def describe(self) -> str:
        """Describe the rule in a phrase."""
        return f"one threshold, {self.threshold:.2f}, picked on the test tickets"


@dataclass(frozen=True)
class Capacity(DecisionPolicy):
    """Escalate at most ``per_day`` of the tickets created on a day: those expected to save most.

    A ticket that the per-ticket rule would leave is left. Ties are broken as in
    :func:`~slarisk.decisions.facts.rank_tickets`.
    """

    per_day: int

    kind: ClassVar = DecisionKind.capacity
    label: ClassVar = "capacity"
    joint: ClassVar = True

    def decide(self, probability: Floats, costs: CostMatrix, tickets: TicketFacts) -> Bools:
        """Decide which tickets to escalate."""
        pays = np.flatnonzero(PerTicket().decide(probability, costs))
        worth = tickets.take(pays)
        ranked = rank_tickets(costs.expected_saving(probability)[pays], worth)
        ranked = ranked[np.argsort(worth.day[ranked], kind="stable")]
        days = worth.day[ranked]
        place_of_day = np.arange(len(days)) - np.searchsorted(days, days)
        chosen = np.zeros(len(costs), dtype=np.bool_)
        chosen[pays[ranked[place_of_day < self.per_day]]] = True
        return chosen

    def describe(self) -> str:
        """Describe the rule in a phrase."""
        return f"at most {self.per_day} a day, chosen when the day is over"


@dataclass(frozen=True)
class NowOrLater(DecisionPolicy):
    """Escalate an open ticket as soon as waiting is expected to cost more than acting.

    See :mod:`slarisk.decisions.stopping`. It decides about tickets at an age.
    """

    stopping: Stopping

    kind: ClassVar = DecisionKind.now_or_later
    label: ClassVar = "now or later"
    in_time: ClassVar = True

    def decide(self, probability: Floats, costs: CostMatrix, tickets: TicketFacts) -> Bools:
        """Decide which tickets to escalate now; costs are those at their age."""
        standing = tickets.standing
        assert standing is not None
        odds = find_relative_odds(probability, costs)
        return self.stopping.decide(odds, standing.age, standing.target, standing.priority)

    def describe(self) -> str:
        """Describe the rule in a phrase."""
        return "now or later, as soon as waiting is expected to cost more than acting"


POLICIES: dict[DecisionKind, type[DecisionPolicy]] = {
    policy.kind: policy
    for policy in (PerTicket, SingleThreshold, Capacity, NowOrLater, GridThreshold)
}
_DEFAULTS = {key.name: key.default for key in fields(Decision) if key.default is not MISSING}


def find_policy(decision: Decision) -> type[DecisionPolicy]:
    """Find the class of the policy that a config names."""
    return POLICIES[decision.name]


def make_policy(
    decision: Decision, threshold: float, stopping: Stopping | None = None
) -> DecisionPolicy:
    """Make the policy that a config names.

    Parameters
    ----------
    decision : Decision
    threshold : float
        Serves the policies that have just one.
    stopping : Stopping, optional
        Of a model of open tickets.

    Raises
    ------
    InputError
        Names the key that is missing or out of range.
    """
    given: dict[str, Any] = {**vars(decision), "threshold": threshold, "stopping": stopping}
    policy = find_policy(decision)
    if policy is NowOrLater and stopping is None:
        raise InputError(
            "decision=now_or_later: decides about tickets at any age, which takes a model that was "
            "trained with moment=open."
        )
    keys = _list_keys(policy)
    for key in keys:
        if given[key] is None:
            raise InputError(f"decision.{key}=null: decision={policy.kind.value} needs one.")
    return policy(**{key: given[key] for key in keys})


def validate_decision(decision: Decision, moment: Moment = Moment.created) -> None:
    """Refuse a config whose policy cannot be made, or that sets a key its policy does not read.

    Raises
    ------
    InputError
        Names the key.
    """
    ages, policy = moment is Moment.open, find_policy(decision)
    if ages and not (policy.in_time or policy is PerTicket):
        raise InputError(
            f"decision={decision.name.value}: decides about tickets at creation. With moment=open "
            "take now_or_later, or per_ticket."
        )
    make_policy(decision, threshold=0.5, stopping=Stopping() if ages else None)
    for key, value in list_parameters(decision).items():
        owners = [kind.value for kind, policy in POLICIES.items() if key in _list_keys(policy)]
        if decision.name.value not in owners:
            raise InputError(
                f"decision.{key}={value}: only decision={' or '.join(owners)} has one, and this is "
                f"decision={decision.name.value}."
            )


def list_parameters(decision: Decision) -> dict[str, Any]:
    """List the keys of a decision that differ from their defaults, without its name."""
    return {
        key: value
        for key, value in vars(decision).items()
        if key != "name" and value != _DEFAULTS[key]
    }


def _list_keys(policy: type[DecisionPolicy]) -> list[str]:
    return [key.name for key in fields(policy)]  # type: ignore[arg-type]
