"""What a decision policy knows of a ticket besides its probability and costs, and the tie rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from slarisk.arrays import Floats

    Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Standing:
    """How old n open tickets are when they are decided about.

    Attributes
    ----------
    age, target : arrays of shape (n,)
        Hours on the clock; the target is NaN where there is none.
    priority : object array of shape (n,)
    """

    age: Floats
    target: Floats
    priority: npt.NDArray[np.object_]

    def take(self, index: npt.NDArray[Any]) -> Standing:
        """Keep some tickets, by position or by a mask."""
        return Standing(self.age[index], self.target[index], self.priority[index])


@dataclass(frozen=True, eq=False)
class TicketFacts:
    """Arrays aligned with the tickets that are decided about.

    Parameters
    ----------
    created_at : datetime64 array of shape (n,)
        When each ticket was created; NaT where that is not known.
    ticket_id : object array of shape (n,)
        Each id as text; empty where there is none.
    standing : Standing, optional
        How old each ticket is; without it tickets are decided about when they are created.
    """

    created_at: npt.NDArray[np.datetime64]
    ticket_id: npt.NDArray[np.object_]
    standing: Standing | None = None

    def __len__(self) -> int:
        """Count the tickets."""
        return len(self.ticket_id)

    @property
    def day(self) -> npt.NDArray[np.int64]:
        """Number of the calendar day of creation; tickets without creation time share one."""
        return self.created_at.astype("datetime64[D]").astype(np.int64)

    def take(self, index: npt.NDArray[Any]) -> TicketFacts:
        """Keep some tickets, by position or by a mask."""
        standing = None if self.standing is None else self.standing.take(index)
        return TicketFacts(self.created_at[index], self.ticket_id[index], standing)


def rank_tickets(saving: Floats, tickets: TicketFacts) -> Positions:
    """Sort tickets by what escalating them saves: the one order in which capacity is given out.

    Ties are broken by creation time (the earlier first, unknown last), then by ticket id as text;
    only tickets equal in all three keep their order.

    ``saving`` holds the dollars that escalating each ticket is expected to save, shape (n,).
    Returned are positions of shape (n,), the largest saving first.

    Examples
    --------
    >>> created = np.array(["2024-03-02", "2024-03-01", "NaT", "2024-03-02"], "datetime64[us]")
    >>> tickets = TicketFacts(created, np.array(["b", "c", "d", "a"], dtype=object))
    >>> rank_tickets(np.array([5.0, 5.0, 5.0, 5.0]), tickets).tolist()
    [1, 3, 0, 2]
    """
    created = tickets.created_at
    order = np.lexsort((created, -saving))
    # comparing text is slow, so only tickets that are still tied are sorted by id
    before, after = order[:-1], order[1:]
    unknown = np.isnat(created)
    same = (saving[before] == saving[after]) & (
        (created[before] == created[after]) | (unknown[before] & unknown[after])
    )
    tied = np.zeros(len(order), dtype=np.bool_)
    tied[:-1] |= same
    tied[1:] |= same
    text = np.zeros(len(order), dtype=np.intp)
    text[order[tied]] = np.unique(tickets.ticket_id[order[tied]], return_inverse=True)[1]
    return np.lexsort((text, created, -saving))
