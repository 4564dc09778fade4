"""When to stop waiting: optimal stopping by backward induction over the landmarks of a ticket.

At a landmark an open ticket is escalated, or it waits for the next. Waiting pays if the ticket may
be resolved by itself meanwhile, and as more becomes known of it; it costs what the effect of an
escalation loses. Escalating as soon as the break-even probability is exceeded ignores all three.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from slarisk.decisions.costs import ROUNDING

if TYPE_CHECKING:
    import numpy.typing as npt

    from slarisk.arrays import Bools, Codes, Floats, Integers
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.timing import TimedCosts

Least = list[list[float | None]]

FEWEST = 50  # tickets of a priority at a landmark, for a threshold of its own
_SURE = 1e-9  # a probability is no nearer to 0 or 1
_TOLERANCE = 1 / 3600  # hours: a landmark is reached to the second


@dataclass(frozen=True)
class Stopping:
    """The least relative odds at which a ticket is escalated, by landmark.

    Relative odds are the odds of a breach, over those at which escalating at this age breaks even:
    see :func:`find_relative_odds`. At 1 a ticket would be escalated as soon as that pays; more is
    the patience that pays, less is in haste.

    Attributes
    ----------
    shares, hours : list of float
        The landmarks, from 0 on: of tickets with a target, shares of it; of others, hours.
    groups : list of str
        The priorities with thresholds of their own.
    by_share, by_hours : list of lists
        For each of the groups, and last for all other tickets: the least relative odds at each
        landmark; None where none is escalated.
    """

    shares: list[float] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    by_share: Least = field(default_factory=list)
    by_hours: Least = field(default_factory=list)

    def decide(
        self, odds: Floats, age: Floats, target: Floats, groups: npt.NDArray[np.object_]
    ) -> Bools:
        """Decide which of n open tickets to escalate at their age.

        Parameters
        ----------
        odds : array of shape (n,)
            Relative odds.
        age, target : arrays of shape (n,)
            Hours; the target is NaN where there is none.
        groups : object array of shape (n,)
            Priorities.

        Returns
        -------
        bool array of shape (n,)
        """
        codes, place = code_groups(groups, self.groups), self.find_places(age, target)
        least = np.full(len(odds), np.inf)
        with_target = ~np.isnan(target)
        for rows, table in ((with_target, self.by_share), (~with_target, self.by_hours)):
            if table:
                least[rows] = _as_array(table)[codes[rows], place[rows]]
        fires: Bools = (odds > 0) & (odds >= least)
        return fires

    def find_age(self, place: int, target: Floats) -> Floats:
        """Find the hours at which each ticket reaches a landmark, infinite where it has none."""
        share, hours = (
            each[place] if place < len(each) else np.inf for each in (self.shares, self.hours)
        )
        with_target = ~np.isnan(target)
        return np.where(with_target, share * np.where(with_target, target, 1.0), hours)

    def find_places(self, age: Floats, target: Floats) -> Integers:
        """Find the last landmark that each ticket has reached, int array of shape (n,).

        ``age`` and ``target`` are hours, the target NaN where there is none.
        """
        with_target = ~np.isnan(target)
        late = age + _TOLERANCE
        by_share = np.searchsorted(
            self.shares, late / np.where(with_target, target, 1.0), side="right"
        )
        by_hours = np.searchsorted(self.hours, late, side="right")
        reached: Integers = np.where(with_target, by_share, by_hours).astype(np.int64)
        return np.maximum(reached - 1, 0)


def code_groups(values: npt.NDArray[np.object_], groups: list[str]) -> Codes:
    """Number the group of each ticket; those of no group share the last number."""
    number = {name: place for place, name in enumerate(groups)}
    return np.array([number.get(value, len(groups)) for value in values], dtype=np.int64)


def _as_array(table: Least) -> Floats:
    rows = [[np.inf if each is None else each for each in row] for row in table]
    return np.array(rows, dtype=np.float64)


def find_relative_odds(probability: Floats, costs: CostMatrix) -> Floats:
    """Divide the odds of a breach by those at which an escalation breaks even.

    Parameters
    ----------
    probability : array of shape (n,)
    costs : CostMatrix
        Of an escalation at the ticket's age: ``TimedCosts.at_age``.

    Returns
    -------
    array of shape (n,)
        0 where no probability makes an escalation pay.

    Examples
    --------
    >>> from slarisk.decisions.costs import cost_matrix
    >>> costs = cost_matrix(np.array([50.0, 0.0]), 20.0, charged=1, effectiveness=0.8)
    >>> find_relative_odds(np.array([0.75, 0.75]), costs).round(3)
    array([3., 0.])
    """
    thresholds = costs.thresholds()
    pays = thresholds < 1
    even = _odds(np.where(pays, thresholds, 0.5))
    return np.where(pays, _odds(probability) / even, 0.0)


def _odds(probability: Floats) -> Floats:
    clipped = np.clip(probability, _SURE, 1 - _SURE)
    odds: Floats = clipped / (1 - clipped)
    return odds


@dataclass(frozen=True, eq=False)
class Landmarked:
    """Rows of tickets at the landmarks at which they were open, with what was thought of them.

    Attributes
    ----------
    ticket : int array of shape (rows,)
        Position of each row's ticket.
    place : int array of shape (rows,)
        Which landmark it is.
    age : array of shape (rows,)
        Hours.
    odds : array of shape (rows,)
        Relative odds.
    """

    ticket: Integers
    place: Integers
    age: Floats
    odds: Floats

    def take(self, rows: Bools) -> Landmarked:
        """Keep some rows."""
        return Landmarked(self.ticket[rows], self.place[rows], self.age[rows], self.odds[rows])


def find_first_age(rows: Landmarked, fires: Bools, tickets: int) -> Floats:
    """Find the age at which each ticket is escalated first, infinite if it never is.

    ``fires`` has the decision of each row. Returned is an array of shape (tickets,), in hours.
    """
    at = np.full(tickets, np.inf)
    np.minimum.at(at, rows.ticket[fires], rows.age[fires])
    return at


def learn_stopping(
    rows: Landmarked,
    timed: TimedCosts,
    breach: Bools,
    priorities: npt.NDArray[np.object_],
    shares: list[float],
    hours: list[float],
) -> Stopping:
    """Learn when to stop waiting, from tickets whose life is known.

    Parameters
    ----------
    rows : Landmarked
        Scores must be out of fold.
    timed : TimedCosts
        Of n tickets; those whose breach is certain at their target have landmarks by share.
    breach : bool array of shape (n,)
    priorities : object array of shape (n,)
    shares, hours : list of float
        The landmarks, from 0 on.

    Notes
    -----
    From the last landmark back to the first, the threshold is the one at which the tickets that
    reached it lose least, when those that wait are treated by the later thresholds (backward
    induction on paths, as F. A. Longstaff and E. S. Schwartz, 2001, price an option; here what is
    fitted is the rule). It is exact over all distinct odds. A priority with fewer than 50 open
    tickets at a landmark has the threshold of all tickets there.
    """
    with_target = timed.times.certain
    groups = sorted({each for each in priorities if isinstance(each, str)})
    codes = code_groups(priorities, groups)
    tables: dict[bool, Least] = {True: [], False: []}
    for by_share, landmarks in ((True, shares), (False, hours)):
        inside = with_target[rows.ticket] == by_share
        if inside.any():
            some = rows.take(inside)
            tables[by_share] = _learn_table(some, timed, breach, codes, len(groups), len(landmarks))
    return Stopping(shares, hours, groups, tables[True], tables[False])


def _learn_table(
    rows: Landmarked, timed: TimedCosts, breach: Bools, codes: Codes, groups: int, places: int
) -> Least:
    acted = timed.take(rows.ticket).losses(breach[rows.ticket], rows.age)
    left = timed.losses(breach, np.full(len(breach), np.inf))
    everyone = _induct(rows, acted, left, np.full(places, np.inf), fewest=1)
    table = []
    for group in range(groups):
        member = codes[rows.ticket] == group
        own = _induct(rows.take(member), acted[member], left, everyone, FEWEST)
        table.append(own)
    return [[None if np.isinf(each) else float(each) for each in row] for row in (*table, everyone)]


def _induct(
    rows: Landmarked, acted: Floats, left: Floats, otherwise: Floats, fewest: int
) -> Floats:
    """Go back from the last landmark to the first; ``otherwise`` serves where rows are few."""
    least = otherwise.copy()
    later = left.copy()  # what a ticket loses if it is not escalated yet
    for place in range(len(least) - 1, -1, -1):
        here = np.flatnonzero(rows.place == place)
        here = here[np.argsort(-rows.odds[here], kind="stable")]
        odds, tickets = rows.odds[here], rows.ticket[here]
        if len(here) >= fewest:
            least[place] = _choose_least(odds, acted[here], later[tickets])
        fires = (odds > 0) & (odds >= least[place])
        later[tickets[fires]] = acted[here[fires]]
    return least


def _choose_least(odds: Floats, acted: Floats, later: Floats) -> float:
    """Choose the odds from which on escalating loses least; odds are in falling order."""
    last = np.append(odds[1:] != odds[:-1], True) & (odds > 0)
    if not last.any():
        return np.inf
    extra = np.cumsum(acted - later)
    ends = np.flatnonzero(last)
    best = ends[np.argmin(extra[ends])]  # of equal losses the fewest escalations
    at_stake = float(np.abs(acted - later).sum())
    return float(odds[best]) if extra[best] < -ROUNDING * at_stake else np.inf
