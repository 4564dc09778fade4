"""The policies that a registered model carries, and the numbers that training chose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import CostPolicy, DataPolicy, Decision, FeatureSet, Moment, SlaPolicy
from slarisk.decisions.effect import make_effect
from slarisk.decisions.policies import DecisionPolicy, make_policy
from slarisk.decisions.stopping import Stopping
from slarisk.decisions.timing import TicketTimes, TimedCosts
from slarisk.learning.calibration import Calibrator
from slarisk.learning.context import list_context_names
from slarisk.learning.features import feature_fields
from slarisk.learning.landmarks import add_standing, get_standing
from slarisk.model.profile import Bins
from slarisk.model.seen_tickets import identity_time_field
from slarisk.tickets.changes import stand_by_events
from slarisk.tickets.contract import get_dates, take_facts
from slarisk.tickets.fields import AS_OF, cost_fields
from slarisk.tickets.labels import measure_age_and_target
from slarisk.tickets.prices import price_tickets

if TYPE_CHECKING:
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.facts import TicketFacts

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """Contents of ``bundle.json``.

    ``threshold`` is the one chosen in training; ``fallback_cost`` (dollars), the mean over the
    training tickets, prices a ticket whose own breach cost is unknown. ``profile`` has the
    distribution of each feature, and of the breach probability, in training.

    A model of open tickets (``moment``) has the rule when to stop waiting; ``implied_hours`` stands
    for the target of a ticket without one, by which the effect of an escalation may go.
    """

    data: DataPolicy
    sla: SlaPolicy
    cost: CostPolicy
    features: FeatureSet
    decision: Decision
    calibrator: Calibrator
    threshold: float
    fallback_cost: float
    model_name: str
    profile: dict[str, Bins] = field(default_factory=dict)
    format: int = FORMAT
    moment: Moment = Moment.created
    stopping: Stopping | None = None
    implied_hours: float | None = None

    @property
    def has_context(self) -> bool:
        """Whether a score depends on earlier tickets, too."""
        return bool(list_context_names(self.features))

    @property
    def policy(self) -> DecisionPolicy:
        """The decision policy of training; a command may use another."""
        return make_policy(self.decision, self.threshold, self.stopping)

    def required_fields(self) -> list[str]:
        """List the fields that a decision needs.

        They are the features, the time that identifies a ticket of the training run (which must
        not get its in-sample score), and the fields that price the ticket.
        """
        data = self.data
        fields = [*feature_fields(self.features), identity_time_field(data)]
        fields = [name for name in fields if name in data.columns]
        if data.costs.breach is None and "priority" in data.columns:
            fields.append("priority")
        fields += cost_fields(data)
        return list(dict.fromkeys(fields))

    def costs(self, tickets: pd.DataFrame) -> CostMatrix:
        """Price each ticket, at the mean of training where its own cost is unknown.

        An open ticket that is looked at later is priced as escalated at its age.
        """
        costs = price_tickets(tickets, self.data, self.sla, self.cost, self.fallback_cost)
        if self.moment is not Moment.open:
            return costs
        standing = get_standing(tickets)
        certain = ~np.isnan(standing.target)
        implied = np.nan if self.implied_hours is None else self.implied_hours
        times = TicketTimes(
            np.full(len(tickets), np.inf), np.where(certain, standing.target, implied), certain
        )
        return TimedCosts(costs, times, make_effect(self.cost)).at_age(standing.age)

    def facts(self, tickets: pd.DataFrame) -> TicketFacts:
        """Return the facts that a decision policy may use."""
        facts = take_facts(tickets, self.data)
        if self.moment is not Moment.open:
            return facts
        return replace(facts, standing=get_standing(tickets))

    def stand(self, dated: pd.DataFrame) -> pd.DataFrame:
        """Add how old tickets are at the moment ``as_of``; without it they are just created.

        For a model of tickets at creation there is nothing to add.
        """
        if self.moment is not Moment.open:
            return dated
        created, as_of = get_dates(dated, "created_at"), get_dates(dated, AS_OF)
        fresh, as_of = as_of.isna(), as_of.fillna(created)
        age, target = measure_age_and_target(dated, self.data, self.sla, as_of)
        stood = stand_by_events(dated, fresh, created, self.features.so_far)
        return add_standing(stood.assign(**{AS_OF: as_of}), age, target)
