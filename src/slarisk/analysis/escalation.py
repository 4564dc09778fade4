"""The benefit of the model: how much of the loss each capacity to escalate averts, by ranking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from slarisk.arrays import Bools, Floats, Integers
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.policies import Capacity, PerTicket
from slarisk.decisions.timing import TimedCosts
from slarisk.evaluation.timers import find_implied_target, imply_targets, learn_timer

BY_SAVING, BY_PROBABILITY, BY_PRIORITY, BY_CHANCE, BY_TIMER = (
    "expected saving",
    "probability",
    "priority",
    "random",
    "timer",
)
_POINTS = 200
_MOST_PRIORITIES = 20  # with more, a priority is a single ticket and hindsight is perfect


@dataclass(frozen=True, eq=False)
class ChampionScores:
    """The champion's scores of the tickets that it was not fitted on.

    Attributes
    ----------
    version : str
        The model, for the report.
    scored : bool array of shape (n,)
        The tickets that have such a score.
    probability : array of shape (m,)
        Of breach, of these tickets.
    origins : dict of str to int
        Tickets by the origin of their score.
    """

    version: str
    scored: Bools
    probability: Floats
    origins: dict[str, int]


@dataclass(frozen=True, eq=False)
class Escalation:
    """The results of escalating on tickets that the model was not fitted on.

    Attributes
    ----------
    table : DataFrame
        One row per capacity and ranking, and one for the learnt timer without a limit: ``per_day``
        (NaN is no limit), ``ranking``,
        ``escalated`` (tickets), ``averted`` (dollars of breaches), ``averted_share`` of all that
        breaches cost, ``spent`` (dollars on escalations), ``net`` (averted minus spent),
        ``return`` (dollars averted per dollar spent; NaN where nothing is spent).
    edge : DataFrame
        One row per capacity: ``per_day``, ``rival`` (the best ranking that needs no model),
        ``gain`` (net dollars of ranking by expected saving over it) with ``gain_low`` and
        ``gain_high``.
    curves : dict of str to (share of tickets, share of loss)
        The risk-capture curve of each ranking over all tickets, best first.
    tickets, days : int
    scores : ChampionScores
    """

    table: pd.DataFrame
    edge: pd.DataFrame
    curves: dict[str, tuple[Floats, Floats]]
    tickets: int
    days: int
    scores: ChampionScores


def measure_escalation(
    scores: ChampionScores,
    breach: Bools,
    timed: TimedCosts,
    tickets: TicketFacts,
    priority: Floats,
    capacities: Sequence[int],
    confidence: float,
) -> Escalation:
    """Measure what each capacity averts under each ranking.

    Parameters
    ----------
    scores : ChampionScores
        All else is of the m tickets that have one.
    breach : bool array of shape (m,)
    timed : TimedCosts
        What escalating the tickets costs and averts, by when it comes.
    tickets : TicketFacts
        Every day of creation has the same capacity.
    priority : array of shape (m,)
        The higher, the more urgent.
    capacities : sequence of int
        Escalations a day. No limit is measured as well.
    confidence : float
        Of the gain's interval.

    Notes
    -----
    Ranking by expected saving is ``decision=capacity``: it stops where a ticket is not expected to
    pay. Ranking by priority stops at priorities that do not pay on average, which is known only in
    hindsight and flatters it. The other two use all of the capacity. In these three, tickets of
    equal rank are escalated with equal chance, and the figures are expected values over ties. The
    learnt timer has no limit, and is learnt from the very tickets: that, too, is hindsight.
    """
    costs = timed.costs
    probability, day = scores.probability, tickets.day
    left, escalated = costs.expected(probability)
    loss = np.where(breach, costs.fn, 0.0)
    averts = np.where(breach, timed.averted, 0.0)
    # the loss of an escalated ticket, without the part of its breach that is not averted
    pays = costs.losses(breach, np.ones_like(breach)) - (loss - averts)
    rankings = {
        BY_PROBABILITY: probability,
        BY_PRIORITY: _stop_at_loss(priority, averts - pays),
        BY_CHANCE: np.zeros(len(breach)),
    }
    rows, edges = [], []
    for per_day in [*sorted(set(capacities)), None]:
        policy = PerTicket() if per_day is None else Capacity(per_day)
        chances = {BY_SAVING: policy.decide(probability, costs, tickets).astype(float)}
        chances |= {name: chance_escalated(score, day, per_day) for name, score in rankings.items()}
        limit = np.nan if per_day is None else per_day
        rows += [
            _tally(name, limit, chance, float(chance @ averts), pays, loss)
            for name, chance in chances.items()
        ]
        net = {name: chance * (averts - pays) for name, chance in chances.items()}
        if per_day is None and (timer := _time_tickets(timed, breach, priority)) is not None:
            acted, kept = timer
            net[BY_TIMER] = acted * (kept * averts - pays)
            rows.append(_tally(BY_TIMER, limit, acted, float((acted * kept) @ averts), pays, loss))
        rivals = [name for name in net if name not in (BY_SAVING, BY_PROBABILITY)]
        rival = max(rivals, key=lambda name: float(net[name].sum()))
        gain = net[BY_SAVING] - net[rival]
        # by the central limit theorem
        half = float(stats.norm.ppf((1 + confidence) / 2) * gain.std() * len(gain) ** 0.5)
        total = float(gain.sum())
        edges.append((limit, rival, total, total - half, total + half))
    ranked = {BY_SAVING: left - escalated, **rankings, BY_PRIORITY: priority}
    return Escalation(
        pd.DataFrame(rows),
        pd.DataFrame(edges, columns=["per_day", "rival", "gain", "gain_low", "gain_high"]),
        {name: capture_risk(score, loss) for name, score in ranked.items()},
        len(breach),
        len(np.unique(day)),
        scores,
    )


def _tally(
    ranking: str, per_day: float, chance: Floats, averted: float, pays: Floats, loss: Floats
) -> dict[str, float | str]:
    """Make a row of the table."""
    spent = float(chance @ pays)
    return {
        "per_day": per_day,
        "ranking": ranking,
        "escalated": float(chance.sum()),
        "averted": averted,
        "averted_share": averted / float(loss.sum()) if loss.any() else 0.0,
        "spent": spent,
        "net": averted - spent,
        "return": averted / spent if spent > 0 else np.nan,
    }


def _time_tickets(
    timed: TimedCosts, breach: Bools, priority: Floats
) -> tuple[Floats, Floats] | None:
    """Tell which tickets a timer escalates, and what is left of the effect then; None without one.

    Returns
    -------
    acted, kept : arrays of shape (m,)
        1 where it escalates; and the share of the effect at creation.
    """
    codes, levels = pd.factorize(priority)
    if len(levels) > _MOST_PRIORITIES:
        return None
    implied = find_implied_target(breach, timed.times.open_hours)
    times = imply_targets(timed.times, implied)
    if np.isnan(times.target_hours).any():
        return None
    timed = replace(timed, times=times)
    share = learn_timer(timed, breach, codes)[codes]
    never = np.isinf(share)
    age = np.where(never, 0.0, share) * times.target_hours
    acted = ~never & (age < times.open_hours)
    return acted.astype(float), 1 - timed.lost_effect(age, times.target_hours, times.certain)


def chance_escalated(score: Floats, day: Integers, per_day: int | None) -> Floats:
    """Calculate each ticket's chance to be among the ``per_day`` highest scores of its day.

    Tickets with equal scores share the places left for them equally; minus infinity is never
    escalated.

    Examples
    --------
    >>> chance_escalated(np.array([3.0, 1.0, 1.0, 5.0]), np.array([0, 0, 0, 1]), 2)
    array([1. , 0.5, 0.5, 1. ])
    """
    if per_day is None:
        return np.isfinite(score).astype(float)
    frame = pd.DataFrame({"day": day, "score": score})
    above = frame.groupby("day")["score"].rank(method="min", ascending=False).to_numpy() - 1
    alike = frame.groupby(["day", "score"])["score"].transform("size").to_numpy()
    chance: Floats = np.clip((per_day - above) / alike, 0, 1)
    return np.where(np.isfinite(score), chance, 0.0)


def capture_risk(score: Floats, loss: Floats) -> tuple[Floats, Floats]:
    """Calculate the share of the loss among the tickets with the highest scores.

    Returns
    -------
    tickets, captured : arrays
        Shares from 0 to 1, at most 201 points; tickets with equal scores share a point.

    Examples
    --------
    >>> x, y = capture_risk(np.array([0.9, 0.1, 0.5]), np.array([30.0, 0.0, 10.0]))
    >>> y.tolist()
    [0.0, 0.75, 1.0, 1.0]
    """
    order = np.argsort(-score, kind="stable")
    total = float(loss.sum()) or 1.0
    captured = np.concatenate([[0.0], np.cumsum(loss[order]) / total])
    ranked = score[order]
    ends = np.concatenate([[True], np.append(ranked[1:] != ranked[:-1], True)])
    places = np.flatnonzero(ends)
    if len(places) > _POINTS:
        places = places[np.unique(np.linspace(0, len(places) - 1, _POINTS + 1).astype(int))]
    return places / len(loss), captured[places]


def _stop_at_loss(priority: Floats, net: Floats) -> Floats:
    """Set to minus infinity the priorities whose escalation costs more than it averts."""
    codes, levels = pd.factorize(priority)
    if len(levels) > _MOST_PRIORITIES:
        return priority
    pays = np.bincount(codes, weights=net) > 0
    return np.where(pays[codes], priority, -np.inf)
