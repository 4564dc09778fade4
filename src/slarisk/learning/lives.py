"""Tickets followed from landmark to landmark, and escalated once, as a desk would do it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.policies import NowOrLater
from slarisk.decisions.stopping import (
    Landmarked,
    find_first_age,
    find_relative_odds,
    learn_stopping,
)
from slarisk.errors import InputError
from slarisk.learning.crossfit import CrossFit
from slarisk.learning.features import make_features
from slarisk.learning.landmarks import get_standing, list_places
from slarisk.learning.splits import Fold
from slarisk.tickets.contract import get_text, take_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slarisk.arrays import Bools, Floats, Integers
    from slarisk.config import DataPolicy, Landmarks
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.decisions.stopping import Stopping
    from slarisk.decisions.timing import TimedCosts
    from slarisk.learning.landmarks import LandmarkRows
    from slarisk.learning.models import BreachModel


@dataclass(frozen=True, eq=False)
class Lives:
    """Training and test tickets at their landmarks, and what was learnt of the former.

    ``learned`` has a score and an out-of-fold probability for each row of ``training``; ``fitted``
    says on which of them models were fitted, with the ``fit_params`` of each row.
    """

    training: LandmarkRows
    test: LandmarkRows
    learned: CrossFit
    fitted: Bools
    fit_params: Mapping[str, Floats]

    @property
    def learned_at_creation(self) -> CrossFit:
        """The scores of the training tickets at creation, one for each."""
        first, learned = self.training.at_creation, self.learned
        return CrossFit(
            learned.model,
            learned.score[first],
            learned.fold[first],
            learned.probability[first],
            learned.eligible[first],
        )

    @property
    def chosen_on(self) -> Bools:
        """Mask of the training rows that something may be chosen on: eligible, and open."""
        return self.learned.eligible & self.training.open

    def collect_probabilities(self, places: int) -> Floats:
        """Out-of-fold probabilities of the training tickets, shape (tickets, places).

        NaN at the landmarks that a ticket did not reach.
        """
        rows = self.training
        table = np.full((int(rows.at_creation.sum()), places), np.nan)
        table[rows.ticket, rows.place] = self.learned.probability
        return table


def spread_folds(folds: Sequence[Fold], ticket: Integers) -> list[Fold]:
    """Turn folds of tickets into folds of their rows: all rows of a ticket are on one side."""
    size = int(ticket.max()) + 1 if len(ticket) else 0
    spread = []
    for fold in folds:
        fitted, scored = (np.zeros(size, dtype=np.bool_) for _ in range(2))
        fitted[fold.fit], scored[fold.score] = True, True
        spread.append(
            Fold(np.flatnonzero(fitted[ticket]), np.flatnonzero(scored[ticket]), fold.eligible)
        )
    return spread


def mark_rows(rows: LandmarkRows, probability: Floats, timed: TimedCosts) -> Landmarked:
    """Give rows their relative odds; ``timed`` are the costs of the tickets.

    Raises
    ------
    InputError
        What an escalation averts at an age is not known.
    """
    costs = timed.take(rows.ticket).at_age(rows.age)
    if np.isnan(costs.tp[rows.open]).any():
        raise InputError(
            f"moment=open: cost.effect={timed.effect.policy.effect.value} goes by the share of the "
            "target that has passed, and some tickets have no target. Take cost.effect=constant, "
            "or cost.effect=fading with cost.fading_by=hours."
        )
    odds = find_relative_odds(probability, costs)
    return Landmarked(rows.ticket, rows.place, rows.age, odds)


def learn_lives(
    lives: Lives, timed: TimedCosts, breach: Bools, landmarks: Landmarks, rows: Bools
) -> Stopping:
    """Learn when to stop waiting from some of the training rows, by their scores out of fold.

    Parameters
    ----------
    lives : Lives
    timed : TimedCosts
        Of the n training tickets.
    breach : bool array of shape (n,)
    landmarks : Landmarks
    rows : bool array of shape (training rows,)
    """
    training = lives.training
    marked = mark_rows(training, lives.learned.probability, timed).take(rows)
    priorities = get_text(training.creation_frame, "priority")
    return learn_stopping(
        marked,
        timed,
        breach,
        priorities.to_numpy(dtype=object),
        *list_places(landmarks),
    )


def follow_tickets(
    policy: DecisionPolicy,
    rows: LandmarkRows,
    probability: Floats,
    timed: TimedCosts,
    data: DataPolicy,
) -> Floats:
    """Find the age at which a policy escalates each ticket, looking at every landmark.

    Parameters
    ----------
    policy : DecisionPolicy
    rows : LandmarkRows
        Of n tickets.
    probability : array of shape (rows,)
    timed : TimedCosts
        Of the n tickets.
    data : DataPolicy

    Returns
    -------
    array of shape (n,)
        Hours; infinite where a ticket is never escalated.
    """
    marked = mark_rows(rows, probability, timed)
    facts = replace(take_facts(rows.frame, data), standing=get_standing(rows.frame))
    fires = policy.decide(probability, timed.take(rows.ticket).at_age(rows.age), facts) & rows.open
    return find_first_age(marked, fires, int(rows.at_creation.sum()))


def score_rows(model: BreachModel, rows: LandmarkRows) -> Floats:
    """Give the probability of each row, given that its ticket is open."""
    return model.calibrate(make_features(rows.frame, model.features))


def measure_by_fold(
    lives: Lives, timed: TimedCosts, breach: Bools, landmarks: Landmarks, data: DataPolicy
) -> float:
    """Measure the dollars per training ticket that now or later loses, out of fold.

    The rule that is applied to a fold is learnt on the others: neither the probabilities nor the
    thresholds have seen the ticket.
    """
    eligible = lives.learned_at_creation.eligible
    fold_of = lives.learned.fold
    at = np.full(len(breach), np.inf)
    folds = np.unique(fold_of[lives.chosen_on])
    for fold in folds:
        others = lives.chosen_on & ((fold_of != fold) | (len(folds) == 1))
        stopping = learn_lives(lives, timed, breach, landmarks, others)
        ages = follow_tickets(
            NowOrLater(stopping), lives.training, lives.learned.probability, timed, data
        )
        inside = lives.learned_at_creation.fold == fold
        at[inside] = ages[inside]
    return float(timed.losses(breach, at)[eligible].mean())
