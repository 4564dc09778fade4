"""Deciding about more tickets than fit in memory, with a policy that weighs them together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.facts import TicketFacts

if TYPE_CHECKING:
    import numpy.typing as npt

    from slarisk.arrays import Floats
    from slarisk.decisions.policies import DecisionPolicy


@dataclass(frozen=True, eq=False)
class Candidates:
    """Tickets that a policy escalated in their part of an export, and what it decides by.

    ``place`` (int array of shape (n,)) says which tickets of the export they are.
    """

    probability: Floats
    costs: CostMatrix
    tickets: TicketFacts
    place: npt.NDArray[np.int64]

    def take(self, index: npt.NDArray[Any]) -> Candidates:
        """Keep some tickets, by position or by a mask."""
        return Candidates(
            self.probability[index],
            self.costs.take(index),
            self.tickets.take(index),
            self.place[index],
        )


class Shortlist:
    """The tickets that a joint policy would escalate of those that have come in so far.

    What a part escalates is added, part by part and in any order. At the end ``kept`` are the
    tickets that are escalated of all; None if nothing was added.
    """

    def __init__(self, policy: DecisionPolicy) -> None:
        self._policy = policy
        self.kept: Candidates | None = None

    def add(self, part: Candidates) -> None:
        """Add the candidates of a part; drop those that others now outrank."""
        both = part if self.kept is None else _join(self.kept, part)
        self.kept = both.take(self._policy.decide(both.probability, both.costs, both.tickets))

    def escalate(self, start: int, count: int) -> npt.NDArray[np.bool_]:
        """Say of the tickets from one place on which are escalated, shape (count,)."""
        chosen = np.zeros(count, dtype=np.bool_)
        if self.kept is not None:
            places = self.kept.place
            chosen[places[(places >= start) & (places < start + count)] - start] = True
        return chosen


def _join(one: Candidates, other: Candidates) -> Candidates:
    pairs = [
        (getattr(one.costs, key), getattr(other.costs, key)) for key in ("tn", "fp", "fn", "tp")
    ]
    mine, theirs = one.tickets, other.tickets
    return Candidates(
        np.concatenate([one.probability, other.probability]),
        CostMatrix(*map(np.concatenate, pairs)),
        TicketFacts(
            np.concatenate([mine.created_at, theirs.created_at]),
            np.concatenate([mine.ticket_id, theirs.ticket_id]),
        ),
        np.concatenate([one.place, other.place]),
    )
