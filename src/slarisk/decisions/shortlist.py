"""Joint decisions about more tickets than fit in memory."""

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
    """Tickets that a policy escalated in their part of an export, with the inputs of the policy.

    ``place`` (int array of shape (n,)) holds their positions in the export.
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
    """The tickets that a joint policy escalates of the parts added so far, in any order.

    ``kept`` is None until candidates are added.
    """

    def __init__(self, policy: DecisionPolicy) -> None:
        self._policy = policy
        self.kept: Candidates | None = None

    def add(self, part: Candidates) -> None:
        """Add the candidates of a part; drop those that others now outrank."""
        both = part if self.kept is None else _join(self.kept, part)
        self.kept = both.take(self._policy.decide(both.probability, both.costs, both.tickets))

    def escalate(self, start: int, count: int) -> npt.NDArray[np.bool_]:
        """Mask of the escalated among ``count`` tickets from a position on, shape (count,)."""
        chosen = np.zeros(count, dtype=np.bool_)
        if self.kept is not None:
            places = self.kept.place
            chosen[places[(places >= start) & (places < start + count)] - start] = True
        return chosen


def _join(one: Candidates, other: Candidates) -> Candidates:
    def join(first: Any, second: Any) -> Any:
        if first is None or isinstance(first, np.ndarray):
            return first if first is None else np.concatenate([first, second])
        parts = zip(vars(first).values(), vars(second).values(), strict=True)
        return type(first)(*(join(*pair) for pair in parts))

    return Candidates(
        np.concatenate([one.probability, other.probability]),
        join(one.costs, other.costs),
        join(one.tickets, other.tickets),
        np.concatenate([one.place, other.place]),
    )
