"""Score tickets and decide about them: the step that both engines share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import Moment
from slarisk.decisions.facts import Standing
from slarisk.decisions.shortlist import Candidates
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import AS_OF, BECAUSE
from slarisk.tickets.labels import (
    find_ends,
    find_open_at,
    label_tickets,
    measure_age_and_target,
    tells_ends,
)
from slarisk.tickets.prices import price_breaches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.facts import TicketFacts
    from slarisk.model.bundle import ScoredTickets
    from slarisk.model.manifest import Manifest
    from slarisk.model.unique_rows import UniqueRows
    from slarisk.scoring.task import Task


@dataclass(frozen=True, eq=False)
class DecidedTickets:
    """Scored tickets with their costs and the decision about each (``escalate``, shape (n,)).

    ``standing`` is their age at the moment of scoring, and ``open`` says which were open then.
    """

    task: Task
    scored: ScoredTickets
    costs: CostMatrix
    facts: TicketFacts
    escalate: Bools
    standing: Standing
    open: Bools

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
        """See :func:`find_outcomes`; at the moment of scoring nothing is known of later ones."""
        manifest, at = self.task.bundle.manifest, self.task.at
        found = find_outcomes(manifest, self.tickets)
        later = self.open
        if (known_at := manifest.data.label.known_at) is not None and at is not None:
            later = later | (get_dates(self.tickets, known_at) > at).to_numpy()
        if later.any():
            found = found.where(np.repeat(~later[:, np.newaxis], len(found.columns), axis=1))
        return found

    @property
    def past_target(self) -> Bools:
        """Mask of open tickets whose target has passed."""
        late: Bools = self.open & (self.standing.age >= self.standing.target)
        return late

    @property
    def states(self) -> NDArray[np.int32]:
        """The place of each ticket's state in STATES."""
        return np.where(self.open, np.where(self.past_target, 1, 0), 2).astype(np.int32)

    @cached_property
    def escalation_times(self) -> pd.Series:
        """See :func:`~slarisk.model.plan.plan_escalations`."""
        task, still_open = self.task, self.open & ~self.past_target
        if task.bundle.manifest.moment is not Moment.open:
            return pd.Series(pd.NaT, index=self.tickets.index, dtype="datetime64[us]")
        now = self.open & self.escalate
        return task.bundle.plan(task.policy, self.tickets, now, still_open)

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
    manifest = task.bundle.manifest
    scored = task.bundle.score(look_at(task, tickets), features)
    standing, is_open = find_standing(task, scored.tickets)
    costs, facts = manifest.costs(scored.tickets), manifest.facts(scored.tickets)
    escalate = task.policy.decide(scored.probability, costs, facts)
    if manifest.moment is Moment.open and task.at is not None:
        escalate &= is_open  # of the others there is nothing to decide any more
    return DecidedTickets(task, scored, costs, facts, escalate, standing, is_open)


def look_at(task: Task, tickets: pd.DataFrame) -> pd.DataFrame:
    """Have a model of open tickets look at those that are open at the moment of scoring then.

    Tickets that are closed are looked at as they were created.
    """
    if task.at is None or task.bundle.manifest.moment is not Moment.open:
        return tickets
    data = task.bundle.manifest.data
    moments = pd.Series(task.at, index=tickets.index, dtype="datetime64[us]")
    return tickets.assign(**{AS_OF: moments.where(find_open_at(tickets, data, task.at))})


def find_standing(task: Task, tickets: pd.DataFrame) -> tuple[Standing, Bools]:
    """Find how old tickets are at the moment of scoring, and which are open then.

    The age of a ticket that is closed, or that has no creation time, is NaN; its target as well.
    """
    manifest = task.bundle.manifest
    priority = get_text(tickets, "priority").to_numpy(dtype=object)
    unknown = np.full(len(tickets), np.nan)
    at = pd.NaT if task.at is None else task.at
    if pd.isna(at) or "created_at" not in tickets or not tells_ends(manifest.data):
        return Standing(unknown, unknown, priority), np.zeros(len(tickets), dtype=np.bool_)
    is_open = find_open_at(tickets, manifest.data, at).to_numpy(dtype=bool)
    age, target = unknown.copy(), unknown.copy()
    if is_open.any():
        some = tickets[is_open]
        as_of = pd.Series(at, index=some.index, dtype="datetime64[us]")
        age[is_open], target[is_open] = measure_age_and_target(
            some, manifest.data, manifest.sla, as_of
        )
    return Standing(age, target, priority), is_open


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
