"""What the model adds: how much of the loss a given capacity to escalate averts, by ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from slarisk.arrays import Bools, Floats
from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.facts import TicketFacts
from slarisk.decisions.policies import Capacity, PerTicket

Days = npt.NDArray[np.int64]

SAVING, PROBABILITY, PRIORITY, RANDOM = "expected saving", "probability", "priority", "random"
_POINTS = 200
_MOST_PRIORITIES = 20  # with more, every ticket has one of its own, and hindsight knows all


@dataclass(frozen=True, eq=False)
class Escalation:
    """What escalating achieves on tickets that the model was not fitted on.

    Attributes
    ----------
    table : DataFrame
        One row per capacity and ranking: ``per_day`` (NaN is no limit), ``ranking``,
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
    origins : dict of str to int
        Tickets by the origin of their score.
    version : str
        The model.
    """

    table: pd.DataFrame
    edge: pd.DataFrame
    curves: dict[str, tuple[Floats, Floats]]
    tickets: int
    days: int
    origins: dict[str, int]
    version: str


def measure_escalation(
    probability: Floats,
    breach: Bools,
    costs: CostMatrix,
    effectiveness: float,
    tickets: TicketFacts,
    priority: Floats,
    capacities: Sequence[int],
    confidence: float,
    origins: Mapping[str, int],
    version: str,
) -> Escalation:
    """Measure what each capacity averts under each ranking.

    Parameters
    ----------
    probability : array of shape (n,)
        Of breach, by a model that did not see the ticket.
    breach : bool array of shape (n,)
    costs : CostMatrix
        Of the same tickets.
    effectiveness : float
        The share of a breach's cost that an escalation averts, as the costs have it.
    tickets : TicketFacts
        When each ticket came in: every day has the same capacity.
    priority : array of shape (n,)
        The higher, the more urgent.
    capacities : sequence of int
        Escalations a day. No limit is measured as well.
    confidence : float
        Of the gain's interval.
    origins, version
        Told in the report.

    Notes
    -----
    Ranking by expected saving is ``decision=capacity`` itself: it stops where a ticket is not
    expected to pay. Ranking by priority stops at priorities that do not pay on average: known in
    hindsight, which flatters it. The other two use all of the capacity. In these three, tickets
    that rank alike are escalated with equal chance, and the figures are expected values over ties.
    """
    left, escalated = costs.expected(probability)
    saving, day = left - escalated, tickets.day
    rankings = {
        PROBABILITY: probability,
        PRIORITY: priority,
        RANDOM: np.zeros(len(breach)),
    }
    loss = np.where(breach, costs.fn, 0.0)
    averts = effectiveness * loss
    # what an escalated ticket loses, but for the part of its breach that is not averted
    pays = costs.losses(breach, np.ones_like(breach)) - (loss - averts)
    rankings[PRIORITY] = _stop_at_loss(priority, averts - pays)
    rows, edges = [], []
    for per_day in [*sorted(set(capacities)), None]:
        net = {}
        policy = PerTicket() if per_day is None else Capacity(per_day)
        chances = {SAVING: policy.decide(probability, costs, tickets).astype(float)}
        chances |= {name: chance_escalated(score, day, per_day) for name, score in rankings.items()}
        for name, chance in chances.items():
            averted, spent = float(chance @ averts), float(chance @ pays)
            net[name] = chance * (averts - pays)
            rows.append(
                {
                    "per_day": np.nan if per_day is None else per_day,
                    "ranking": name,
                    "escalated": float(chance.sum()),
                    "averted": averted,
                    "averted_share": averted / float(loss.sum()) if loss.any() else 0.0,
                    "spent": spent,
                    "net": averted - spent,
                    "return": averted / spent if spent > 0 else np.nan,
                }
            )
        rival = max((PRIORITY, RANDOM), key=lambda name: float(net[name].sum()))
        gain = net[SAVING] - net[rival]
        low, high = _sum_interval(gain, confidence)
        edges.append(
            {
                "per_day": np.nan if per_day is None else per_day,
                "rival": rival,
                "gain": float(gain.sum()),
                "gain_low": low,
                "gain_high": high,
            }
        )
    ranked = {SAVING: saving, **rankings, PRIORITY: priority}
    return Escalation(
        pd.DataFrame(rows),
        pd.DataFrame(edges),
        {name: capture_risk(score, loss) for name, score in ranked.items()},
        len(breach),
        len(np.unique(day)),
        dict(origins),
        version,
    )


def chance_escalated(score: Floats, day: Days, per_day: int | None) -> Floats:
    """Give each ticket's chance to be among the ``per_day`` highest scores of its day.

    Tickets with equal scores share the places that are left to them; minus infinity is never
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
    """Trace the share of the loss among the tickets that score highest.

    Returns
    -------
    tickets, captured : arrays
        Shares from 0 to 1, at most 201 points; tickets that score alike are taken together.

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
    """Never escalate priorities whose tickets, on average, cost more to escalate than it averts."""
    codes, levels = pd.factorize(priority)
    if len(levels) > _MOST_PRIORITIES:
        return priority
    pays = np.bincount(codes, weights=net) > 0
    return np.where(pays[codes], priority, -np.inf)


def _sum_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Find the interval of a sum over tickets, by the central limit theorem."""
    half = float(stats.norm.ppf((1 + confidence) / 2) * values.std() * len(values) ** 0.5)
    return float(values.sum()) - half, float(values.sum()) + half
