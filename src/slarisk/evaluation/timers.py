"""Timers: rules that escalate what is still open at a share of its target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.costs import ROUNDING

if TYPE_CHECKING:
    from slarisk.arrays import Bools, Codes, Floats
    from slarisk.decisions.timing import TicketTimes, TimedCosts

SHORTEST = 1 / 60  # hours: tickets that took less than a minute say nothing of time
_MOST_CELLS = 20_000_000  # of ages tried times targets that differ


@dataclass(frozen=True)
class ImpliedTarget:
    """The age that tells best which tickets breached, where a label column is all there is.

    ``accuracy`` is the share of the training tickets that it gets right.
    """

    hours: float
    accuracy: float


def find_implied_target(breach: Bools, open_hours: Floats) -> ImpliedTarget | None:
    """Find the hours such that most tickets that were open for longer breached, and no others.

    Parameters
    ----------
    breach : bool array of shape (n,)
    open_hours : array of shape (n,)

    Returns
    -------
    ImpliedTarget or None
        Of equal hours the lowest. None if no hours above 0 do better than none at all.

    Examples
    --------
    >>> find_implied_target(np.array([False, True, True]), np.array([2.0, 30.0, 50.0]))
    ImpliedTarget(hours=2.0, accuracy=1.0)
    """
    order = np.argsort(open_hours, kind="stable")
    hours, late = open_hours[order], breach[order]
    # wrong, if those after each place are taken to have breached
    wrong = np.cumsum(late) + np.cumsum(~late)[-1] - np.cumsum(~late)
    last = np.append(hours[1:] != hours[:-1], True) & np.isfinite(hours) & (hours >= SHORTEST)
    if not last.any():
        return None
    places = np.flatnonzero(last)
    best = places[np.argmin(wrong[places])]
    return ImpliedTarget(float(hours[best]), float(1 - wrong[best] / len(hours)))


def imply_targets(times: TicketTimes, implied: ImpliedTarget | None) -> TicketTimes:
    """Give tickets without a target the implied one."""
    if implied is None:
        return times
    target = np.where(np.isnan(times.target_hours), implied.hours, times.target_hours)
    return replace(times, target_hours=target)


def learn_timer(timed: TimedCosts, breach: Bools, groups: Codes) -> Floats:
    """Learn for each group at which share of their target its tickets are best escalated.

    Parameters
    ----------
    timed : TimedCosts
        Of n training tickets with a target each.
    breach : bool array of shape (n,)
    groups : int array of shape (n,)
        From 0 on.

    Returns
    -------
    array of shape (groups,)
        A share, 0 being at creation; infinite where it is best to escalate none. Of shares that
        lose the same the latest, which escalates fewest.

    Notes
    -----
    The search is exact: the effect of an escalation never rises with age, so the best moment is at
    creation or just when another ticket was resolved.
    """
    count = int(groups.max()) + 1
    learnt = np.full(count, np.inf)
    for group in range(count):
        member = np.flatnonzero(groups == group)
        shares, losses, at_stake = measure_by_share(timed.take(member), breach[member])
        lowest = losses.min()
        if lowest < -ROUNDING * at_stake:
            learnt[group] = shares[np.flatnonzero(losses <= lowest + ROUNDING * at_stake)[-1]]
    return learnt


def measure_by_share(timed: TimedCosts, breach: Bools) -> tuple[Floats, Floats, float]:
    """Measure what escalating tickets at a share of their target loses more than leaving them.

    Returns
    -------
    shares : array of shape (m,)
        0, and each share at which a ticket was resolved that could matter, ascending.
    losses : array of shape (m,)
        Dollars on all tickets, beyond those of leaving them all; negative where it pays.
    at_stake : float
        Dollars that differences between equal losses are to be measured by.
    """
    costs, times = timed.costs, timed.times
    open_share = times.share_open()
    ends = np.unique(open_share[np.isfinite(open_share) & (open_share > 0)])
    if times.certain.all():
        ends = ends[ends < 1]
    shares = np.concatenate([[0.0], ends])
    targets, kind = np.unique(times.target_hours, return_inverse=True)
    if len(shares) * len(targets) > _MOST_CELLS:
        shares = np.unique(np.quantile(shares, np.linspace(0, 1, 1 + _MOST_CELLS // len(targets))))
    extra = np.where(breach, costs.tp - costs.fn, costs.fp - costs.tn)
    averted = np.where(breach, timed.averted, 0.0)
    losses = _sum_open(open_share, extra, shares)
    for place, target in enumerate(targets):
        member = kind == place
        age, hours = shares * target, np.full(len(shares), target)
        certain = np.full(len(shares), bool(times.certain[member].all()))
        lost = timed.lost_effect(age, hours, certain)
        losses += lost * _sum_open(open_share[member], averted[member], shares)
    return shares, losses, float(np.abs(extra).sum())


def _sum_open(open_share: Floats, dollars: Floats, shares: Floats) -> Floats:
    """Sum the dollars of the tickets that are still open at each share."""
    order = np.argsort(open_share, kind="stable")
    total = np.concatenate([np.cumsum(dollars[order][::-1])[::-1], [0.0]])
    summed: Floats = total[np.searchsorted(open_share[order], shares, side="right")]
    return summed


def choose_groups(timed: TimedCosts, breach: Bools, groups: Codes, share: float) -> Bools:
    """Choose the groups whose tickets are to be escalated at a share of their target.

    Returns
    -------
    bool array of shape (groups,)
        Where the training tickets then lose less than if they are left.
    """
    at = share * timed.times.target_hours
    never = np.full(len(breach), np.inf)
    saved = timed.losses(breach, never) - timed.losses(breach, at)
    total, at_stake = (np.bincount(groups, weights=each) for each in (saved, np.abs(saved)))
    pays: Bools = total > ROUNDING * at_stake
    return pays


def describe_timer(shares: dict[str, float], implied: ImpliedTarget | None) -> str:
    """Describe a timer: which groups it escalates, and when.

    Examples
    --------
    >>> describe_timer({"High": 0.0, "Low": np.inf, "Medium": 0.25}, None)
    'High at creation, Medium at 25% of the target'
    >>> describe_timer({"High": 0.5}, ImpliedTarget(90.0, 0.9))
    'High after 45 h'
    """
    words = []
    for name, share in sorted(shares.items(), key=lambda pair: pair[1]):
        if share == 0:
            words.append(f"{name} at creation")
        elif np.isfinite(share) and implied is None:
            words.append(f"{name} at {100 * share:.3g}% of the target")
        elif np.isfinite(share):
            words.append(f"{name} after {share * implied.hours:.3g} h")  # type: ignore[union-attr]
    return ", ".join(words) or "none at all"
