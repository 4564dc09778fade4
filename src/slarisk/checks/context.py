"""Input of the checks: the tickets of both parts, the cross-fit, and the logged metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import CreationKind, Moment
from slarisk.decisions.effect import make_effect
from slarisk.decisions.policies import make_policy
from slarisk.decisions.timing import TimedCosts
from slarisk.evaluation.baselines import decide_baselines
from slarisk.evaluation.timers import imply_targets
from slarisk.learning.features import comparable_names, feature_fields, make_features
from slarisk.learning.lives import follow_tickets, score_rows
from slarisk.tickets.contract import take_facts, take_times
from slarisk.tickets.fields import date_fields, list_segments, moment_known
from slarisk.tickets.prices import price_tickets

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats
    from slarisk.config import TrainConfig
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.decisions.stopping import Stopping
    from slarisk.evaluation.baselines import Baselines
    from slarisk.learning.crossfit import CrossFit
    from slarisk.learning.lives import Lives
    from slarisk.learning.splits import Fold
    from slarisk.tickets.prepare import LabelledTickets

_IN_SAMPLE = 1000  # training tickets that the final model scores again


@dataclass(frozen=True, eq=False)
class CheckContext:
    """A run as the checks see it.

    Checks compute what they judge from the tickets, the out-of-fold scores and the model, each
    once for all checks; the logged metrics are only compared with it.

    Parameters
    ----------
    tickets : LabelledTickets
        Of the whole export.
    training, test : DataFrame
        The typed tickets of both parts.
    folds : sequence of Fold
        Of the training tickets.
    learned : CrossFit
        The final model, and the out-of-fold scores of the training tickets.
    threshold : float
        Of the packed model, where its policy has one threshold.
    metrics : mapping of str to float
        As the run logs them.
    lives : Lives, optional
        Of a model of open tickets: both parts at their landmarks. ``training``, ``test`` and
        ``learned`` are then those at creation.
    stopping : Stopping, optional
        Of the packed model, if it is one of open tickets.
    """

    config: TrainConfig
    tickets: LabelledTickets
    training: pd.DataFrame
    test: pd.DataFrame
    folds: Sequence[Fold]
    learned: CrossFit
    threshold: float
    metrics: Mapping[str, float]
    lives: Lives | None = None
    stopping: Stopping | None = None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Feature frame of the training tickets."""
        return make_features(self.training, self.config.features)

    @cached_property
    def test_frame(self) -> pd.DataFrame:
        """Feature frame of the test tickets."""
        return make_features(self.test, self.config.features)

    @cached_property
    def features(self) -> list[str]:
        """Columns of both frames, without free text, which has no values to compare."""
        return comparable_names(self.config.features)

    @property
    def fields(self) -> list[str]:
        """The ticket fields behind the features."""
        return feature_fields(self.config.features)

    @cached_property
    def breach(self) -> Bools:
        """Labels of the training tickets."""
        return self.training["breach"].to_numpy(dtype=bool)

    @cached_property
    def test_breach(self) -> Bools:
        """Labels of the test tickets."""
        return self.test["breach"].to_numpy(dtype=bool)

    @cached_property
    def probability(self) -> Floats:
        """Breach probabilities of the test tickets, predicted again."""
        return self.learned.model.probability(self.test)

    @cached_property
    def costs(self) -> CostMatrix:
        """Costs of the training tickets, priced again."""
        return self._price(self.training)

    @cached_property
    def test_costs(self) -> CostMatrix:
        """Costs of the test tickets, priced again."""
        return self._price(self.test)

    def _price(self, tickets: pd.DataFrame) -> CostMatrix:
        config = self.config
        return price_tickets(tickets, config.data, config.sla, config.cost)

    @cached_property
    def eligible_breach(self) -> Bools:
        """Labels of the training tickets with an eligible out-of-fold score."""
        return self.breach[self.learned.eligible]

    @cached_property
    def eligible_probability(self) -> Floats:
        """Out-of-fold probabilities of these tickets."""
        return self.learned.probability[self.learned.eligible]

    @cached_property
    def eligible_costs(self) -> CostMatrix:
        """Costs of these tickets."""
        return self.costs.take(self.learned.eligible)

    @property
    def policy(self) -> DecisionPolicy:
        """The decision policy of the run."""
        return make_policy(self.config.decision, self.threshold, self.stopping)

    def decide(self, tickets: pd.DataFrame, probability: Floats, costs: CostMatrix) -> Bools:
        """Decide by the policy of the run which of some tickets to escalate at creation."""
        return self.policy.decide(probability, costs, take_facts(tickets, self.config.data))

    @cached_property
    def baselines(self) -> Baselines:
        """The trivial rules, fitted again."""
        parts = (self.training, self.test, self.costs, self.test_costs)
        segments = list_segments(self.config.data)
        return decide_baselines(*parts, segments, make_effect(self.config.cost))

    @cached_property
    def timed(self) -> TimedCosts:
        """Costs in time of the training tickets, priced again."""
        times = imply_targets(take_times(self.training), self.baselines.implied)
        return TimedCosts(self.costs, times, self.baselines.timed.effect)

    @cached_property
    def ages(self) -> Floats:
        """The age in hours at which each test ticket is escalated, infinite if it never is."""
        if self.lives is None:
            escalate = self.decide(self.test, self.probability, self.test_costs)
            return np.where(escalate, 0.0, np.inf)
        rows = self.lives.test
        probability = score_rows(self.learned.model, rows)
        data = self.config.data
        return follow_tickets(self.policy, rows, probability, self.baselines.timed, data)

    @property
    def imputed(self) -> bool:
        """Whether creation times are imputed."""
        return self.config.data.creation.kind is CreationKind.imputed

    @property
    def late_dates(self) -> list[str]:
        """Date fields that are not known at creation."""
        return [
            name
            for name in date_fields(self.config.data)
            if name in self.training
            and moment_known(name, self.config.data) is not Moment.created
            and name not in ("created_at", "due_at")
        ]

    @cached_property
    def sampled(self) -> NDArray[np.int64]:
        """Positions of a random sample of the training tickets with an eligible score."""
        eligible = np.flatnonzero(self.learned.eligible)
        if len(eligible) <= _IN_SAMPLE:
            return eligible
        rng = np.random.default_rng(self.config.evaluation.seed)
        return np.sort(rng.choice(eligible, _IN_SAMPLE, replace=False))

    @cached_property
    def in_sample(self) -> Floats:
        """Uncalibrated in-sample scores of the sampled tickets, by the final model."""
        return self.learned.model.score(self.frame.iloc[self.sampled])
