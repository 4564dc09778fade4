"""Train and judge a model of open tickets: at every landmark, and followed through their lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.decisions.policies import make_policy
from slarisk.decisions.timing import TimedCosts
from slarisk.evaluation.metrics import probability_metrics
from slarisk.evaluation.timers import choose_groups, imply_targets
from slarisk.learning.crossfit import cross_fit
from slarisk.learning.landmarks import lay_landmarks, list_places
from slarisk.learning.lives import (
    Lives,
    follow_tickets,
    learn_lives,
    measure_by_fold,
    score_rows,
    spread_folds,
)
from slarisk.tickets.contract import get_text, take_times

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slarisk.arrays import Bools, Floats
    from slarisk.config import Landmarks, TrainConfig
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.decisions.stopping import Stopping
    from slarisk.evaluation.baselines import Baselines
    from slarisk.learning.landmarks import LandmarkRows
    from slarisk.learning.splits import Fold
    from slarisk.training.prepare import Prepared
    from slarisk.training.priced import PricedTickets


@dataclass(frozen=True, eq=False)
class FollowedTickets:
    """What a decision policy does with tickets that are followed through their lives.

    Attributes
    ----------
    policy : DecisionPolicy
    stopping : Stopping
        Learnt on the training tickets, whether the policy goes by it or not.
    implied_hours : float or None
        The age that stands for the target of a ticket without one.
    at : array of shape (test tickets,)
        The age in hours at which each is escalated; infinite: never.
    objective : float
        Dollars per training ticket, out of fold.
    table : DataFrame
        One row for each landmark: how good the probabilities of the test tickets open then are.
    metrics : dict
        Of the ages at which test tickets are escalated.
    probabilities : array of shape (training tickets, landmarks)
        Out of fold; NaN where a ticket was not open.
    timers : DataFrame
        ``loss`` (dollars) on the test tickets of one timer for all, by ``share`` of the target.
    """

    policy: DecisionPolicy
    stopping: Stopping
    implied_hours: float | None
    at: Floats
    objective: float
    table: pd.DataFrame
    metrics: dict[str, float]
    probabilities: Floats
    timers: pd.DataFrame


def fit_lives(
    config: TrainConfig,
    prepared: Prepared,
    folds: Sequence[Fold],
    fit_params: Mapping[str, Floats],
) -> Lives:
    """Lay training and test tickets out at their landmarks, and cross-fit on the former.

    ``folds`` and ``fit_params`` are those of the tickets.
    """
    held_out = prepared.held_out
    policies = (config.landmarks, config.features, config.data, config.sla)
    training = lay_landmarks(prepared.tickets, held_out.train, *policies, cut=held_out.cut)
    test = lay_landmarks(prepared.tickets, held_out.test, *policies)
    params = {name: each[training.ticket] for name, each in fit_params.items()}
    fitted = draw_fitted(training, config.landmarks.fitted, config.split.seed)
    learned = cross_fit(
        prepared.estimator,
        config.features,
        config.calibration.name,
        training.frame,
        spread_folds(folds, training.ticket),
        params,
        fitted,
    )
    return Lives(training, test, learned, fitted, params)


def draw_fitted(rows: LandmarkRows, later: int | None, seed: int) -> Bools:
    """Draw the rows that a model is fitted on: of each ticket creation, and some later ones."""
    if later is None:
        return rows.open
    draws = np.random.default_rng(seed).random(len(rows.ticket))
    draws[rows.at_creation] = -1.0
    order = np.lexsort((draws, rows.ticket))
    ticket = rows.ticket[order]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(ticket, ticket)
    return rows.open & (rank <= later)


def follow_lives(
    config: TrainConfig, lives: Lives, training: PricedTickets, baselines: Baselines
) -> FollowedTickets:
    """Learn when to stop waiting, and follow the test tickets from landmark to landmark."""
    times = imply_targets(take_times(training.frame), baselines.implied)
    timed = TimedCosts(training.costs, times, baselines.timed.effect)
    breach, landmarks, data = training.breach, config.landmarks, config.data
    stopping = learn_lives(lives, timed, breach, landmarks, lives.chosen_on)
    policy = make_policy(config.decision, 0.0, stopping)
    probability = score_rows(lives.learned.model, lives.test)
    at = follow_tickets(policy, lives.test, probability, baselines.timed, data)
    if policy.in_time:
        objective = measure_by_fold(lives, timed, breach, landmarks, data)
    else:
        ages = follow_tickets(policy, lives.training, lives.learned.probability, timed, data)
        eligible = lives.learned_at_creation.eligible
        objective = float(timed.losses(breach, ages)[eligible].mean())
    late = lives.test.creation_frame["breach"].to_numpy(dtype=bool)
    return FollowedTickets(
        policy,
        stopping,
        None if baselines.implied is None else baselines.implied.hours,
        at,
        objective,
        tabulate_landmarks(lives.test, probability, late, landmarks),
        measure_escalation_ages(at, late, baselines.timed),
        lives.collect_probabilities(max(len(each) for each in list_places(landmarks))),
        trace_timers(timed, breach, baselines.timed, late, lives),
    )


def trace_timers(
    learning: TimedCosts, learnt: Bools, test: TimedCosts, breach: Bools, lives: Lives
) -> pd.DataFrame:
    """Trace what one timer for all priorities loses, by the share of the target at which it runs.

    It escalates the priorities for which that paid on the training tickets.

    Returns
    -------
    DataFrame
        ``share`` and ``loss``; without rows if no target is known.
    """
    if np.isnan([*learning.times.target_hours, *test.times.target_hours]).any():
        return pd.DataFrame({"share": [], "loss": []})
    both = (lives.training, lives.test)
    priorities, others = (get_text(each.creation_frame, "priority").fillna("") for each in both)
    codes, names = pd.factorize(priorities)
    place = pd.Index(names).get_indexer(pd.Index(others))
    rows = []
    for share in np.round(np.arange(0, 1, 0.02), 2):
        pays = np.append(choose_groups(learning, learnt, codes.astype(np.int64), share), False)
        at = np.where(pays[place], share * test.times.target_hours, np.inf)
        rows.append((share, float(test.losses(breach, at).sum())))
    return pd.DataFrame(rows, columns=["share", "loss"])


def tabulate_landmarks(
    rows: LandmarkRows, probability: Floats, breach: Bools, landmarks: Landmarks
) -> pd.DataFrame:
    """Measure the probabilities of the tickets that were open at each landmark.

    Parameters
    ----------
    rows : LandmarkRows
        Of n tickets.
    probability : array of shape (rows,)
    breach : bool array of shape (n,)
    landmarks : Landmarks

    Returns
    -------
    DataFrame
        ``landmark`` (a share of the target, or hours), ``tickets``, ``breach_rate``,
        ``mean_probability`` and the metrics of the probabilities.
    """
    with_target = rows.creation_frame["breaches_after"].notna().to_numpy()
    table = []
    for by_share, places in zip((True, False), list_places(landmarks), strict=True):
        for place, passed in enumerate(places):
            here = (rows.place == place) & rows.open & (with_target[rows.ticket] == by_share)
            if not here.any():
                continue
            truth, scores = breach[rows.ticket[here]], probability[here]
            table.append(
                {
                    "landmark": f"{passed:.3g} of the target" if by_share else f"{passed:g} h",
                    "tickets": int(here.sum()),
                    "breach_rate": float(truth.mean()),
                    "mean_probability": float(scores.mean()),
                    **probability_metrics(truth, scores),
                }
            )
    return pd.DataFrame(table)


def measure_escalation_ages(at: Floats, breach: Bools, timed: TimedCosts) -> dict[str, float]:
    """Measure when tickets are escalated.

    Returns
    -------
    dict
        ``escalated_at_creation``, the share of the escalated tickets; ``escalation_age_hours`` and,
        of those that would breach, ``lead_time_hours`` until they do, both in the median. Left out
        where no ticket is escalated, or no target is known.
    """
    acted = at < timed.times.open_hours
    if not acted.any():
        return {}
    metrics = {
        "escalated_at_creation": float((at[acted] == 0).mean()),
        "escalation_age_hours": float(np.median(at[acted])),
    }
    lead = (timed.times.target_hours - at)[acted & breach]
    lead = lead[np.isfinite(lead)]
    return metrics | ({"lead_time_hours": float(np.median(lead))} if len(lead) else {})
