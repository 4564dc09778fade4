"""Score tickets and decide about them: the step that both engines share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.decisions.shortlist import Candidates
from slarisk.tickets.contract import take_facts
from slarisk.tickets.fields import BECAUSE
from slarisk.tickets.labels import find_ends, label_tickets
from slarisk.tickets.prices import price_breaches

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.facts import TicketFacts
    from slarisk.model.bundle import Manifest, ScoredTickets
    from slarisk.model.unique_rows import UniqueRows
    from slarisk.scoring.task import Task


@dataclass(frozen=True, eq=False)
class DecidedTickets:
    """Scored tickets with their costs and the decision about each (``escalate``, shape (n,))."""

    task: Task
    scored: ScoredTickets
    costs: CostMatrix
    facts: TicketFacts
    escalate: Bools

    @property
    def tickets(self) -> pd.DataFrame:
        """The typed tickets, creation times included."""
        return self.scored.tickets

    @cached_property
    def expected_losses(self) -> tuple[Floats, Floats]:
        """Dollars that each ticket is expected to lose if left, and if escalated."""
        return self.costs.expected(self.scored.probability)

    @cached_property
    def outcomes(self) -> pd.DataFrame:
        """See :func:`find_outcomes`."""
        return find_outcomes(self.task.bundle.manifest, self.tickets)

    def take_candidates(self, start: int) -> Candidates:
        """Take the escalated tickets; ``start`` is the first ticket's position in the export."""
        position = start + np.arange(len(self.escalate))
        every = Candidates(self.scored.probability, self.costs, self.facts, position)
        return every.take(self.escalate)


def decide_tickets(
    task: Task, tickets: pd.DataFrame, features: UniqueRows | None = None
) -> DecidedTickets:
    """Score typed tickets and decide about them; a joint policy weighs only these tickets.

    ``features`` are their scored feature rows, if they are known already.
    """
    scored = task.bundle.score(tickets, features)
    manifest = task.bundle.manifest
    costs, facts = manifest.costs(scored.tickets), take_facts(scored.tickets, manifest.data)
    escalate = task.policy.decide(scored.probability, costs, facts)
    return DecidedTickets(task, scored, costs, facts, escalate)


def find_outcomes(manifest: Manifest, tickets: pd.DataFrame) -> pd.DataFrame:
    """Find how each resolved ticket turned out; the outcome of an open ticket is missing.

    Returns
    -------
    DataFrame
        ``resolution_hours``, ``breach`` (nullable) and ``cost`` (dollars lost).
    """
    # open tickets get no outcome whenever the export was taken, so any time of observation serves
    labelled = label_tickets(tickets, manifest.data, manifest.sla, pd.Timestamp.min)
    known = labelled[BECAUSE] == ""
    if "resolved_at" in labelled or "resolution_hours" in manifest.data.columns:
        known &= find_ends(tickets).notna()
    breach = labelled["breach"].where(known)
    price = price_breaches(tickets, manifest.data, manifest.sla)
    cost = price.where(breach.fillna(False), 0.0)  # a met target costs nothing
    return pd.DataFrame(
        {
            "resolution_hours": labelled["resolution_hours"].where(known),
            "breach": breach,
            "cost": cost.where(breach.notna()),
        }
    )
