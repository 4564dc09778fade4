"""Decision rules that need no model. A model that does not beat them is not worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slarisk.decisions.costs import ROUNDING
from slarisk.decisions.policies import PerTicket
from slarisk.decisions.timing import TimedCosts
from slarisk.evaluation.timers import (
    SHORTEST,
    ImpliedTarget,
    choose_groups,
    describe_timer,
    find_implied_target,
    imply_targets,
    learn_timer,
)
from slarisk.tickets.contract import take_times

if TYPE_CHECKING:
    import pandas as pd

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.effect import Effect

BASELINE_WORDS = {
    "never": "never escalate",
    "always": "always escalate",
    "priority": "by priority",
    "segment": "segment rates",
    "timer_50": "timer at 50%",
    "timer_75": "timer at 75%",
    "timer": "learnt timer",
}
AT_CREATION = ("never", "always", "priority", "segment")
TIMERS = {"timer_50": 0.5, "timer_75": 0.75}  # shares of the target

Key = tuple[Hashable, ...]

# A segment's own rate counts half once it has this many training tickets.
PRIOR_TICKETS = 20

_MISSING = object()  # the label of every kind of missing value; unlike NaN it equals itself


@dataclass(frozen=True, eq=False)
class Baselines:
    """What each rule would do with n test tickets, and what that costs.

    Attributes
    ----------
    ages : dict of arrays of shape (n,)
        By rule, the age in hours at which a ticket is escalated if it is still open; 0 is at
        creation, infinite is never.
    timed : TimedCosts
        Of the n tickets.
    timer : str
        When the learnt timer escalates, in words; empty where there are no timers.
    implied : ImpliedTarget or None
        What timers count by, where a label column is all there is.
    """

    ages: dict[str, Floats]
    timed: TimedCosts
    timer: str = ""
    implied: ImpliedTarget | None = None

    def losses(self, breach: Bools) -> dict[str, Floats]:
        """Dollars that each rule loses on each ticket, arrays of shape (n,)."""
        return {rule: self.timed.losses(breach, age) for rule, age in self.ages.items()}

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the tickets that the rules decide about."""
        notes = []
        if self.implied is not None:
            notes.append(
                f"No target is known, only who breached: timers count by {self.implied.hours:.3g} "
                f"hours, which tell {self.implied.accuracy:.1%} of the training tickets right."
            )
        arrived = int((self.timed.times.open_hours == 0).sum())
        if arrived:
            notes.append(f"{arrived:,} test tickets arrived resolved: nobody can escalate them.")
        return notes


def decide_baselines(
    training: pd.DataFrame,
    test: pd.DataFrame,
    training_costs: CostMatrix,
    test_costs: CostMatrix,
    segments: Sequence[str],
    effect: Effect,
) -> Baselines:
    """Fit the rules on training tickets, and decide by them when to escalate the test tickets.

    Parameters
    ----------
    training, test : DataFrame
        Labelled tickets; the labels of the test tickets are not read.
    training_costs, test_costs : CostMatrix
        Of the same tickets.
    segments : sequence of str
        The fields whose combinations are segments; those that the tickets lack are left out.
    effect : Effect
        Of an escalation, by when it comes.

    Returns
    -------
    Baselines
        ``never``; ``always``; ``priority`` escalates the priorities of :func:`choose_priorities`;
        ``segment`` takes the rate of :func:`rate_segments` for a ticket's probability, and decides
        by the per-ticket rule: these four at creation. ``timer_50`` and ``timer_75`` escalate what
        is open at that share of its target, of the priorities for which it pays; ``timer`` at a
        share for each priority, see :func:`~slarisk.evaluation.timers.learn_timer`. A priority that
        no training ticket has is left, and a new segment has the rate of all tickets. There are no
        timers if tickets have neither targets nor times.
    """
    fields = [name for name in segments if name in training]
    priorities = choose_priorities(training, training_costs)
    rates, overall = rate_segments(training, fields)
    rate = np.array([rates.get(key, overall) for key in _read_keys(test, fields)])
    escalate = {
        "never": np.zeros(len(test), dtype=np.bool_),
        "always": np.ones(len(test), dtype=np.bool_),
        "priority": np.array([key in priorities for key in _read_keys(test, ["priority"])]),
        "segment": PerTicket().decide(rate, test_costs),
    }
    ages = {rule: np.where(chosen, 0.0, np.inf) for rule, chosen in escalate.items()}
    breach = training["breach"].to_numpy(dtype=bool)
    times, implied = take_times(training), None
    if np.isnan(times.target_hours).any():
        implied = find_implied_target(breach, times.open_hours)
    times = imply_targets(times, implied)
    timed = TimedCosts(test_costs, imply_targets(take_times(test), implied), effect)
    usable = ~np.isnan(times.target_hours)
    if not usable.all() or not (times.open_hours > SHORTEST).any():
        return Baselines(ages, timed)
    learning = TimedCosts(training_costs, times, effect)
    shares = fit_timers(learning, breach, _read_keys(training, ["priority"]))
    keys = _read_keys(test, ["priority"])
    for rule, by_priority in shares.items():
        share = np.array([by_priority.get(key, np.inf) for key in keys], dtype=np.float64)
        never = np.isinf(share)
        hours = np.where(never, 0.0, share) * timed.times.target_hours
        ages[rule] = np.where(never, np.inf, hours)
    named = {
        "no priority" if key == (_MISSING,) else str(key[0]): share
        for key, share in shares["timer"].items()
    }
    return Baselines(ages, timed, describe_timer(named, implied), implied)


def fit_timers(
    timed: TimedCosts, breach: Bools, keys: Sequence[Key]
) -> dict[str, dict[Key, float]]:
    """Fit the timers on training tickets: by rule and priority, the share of the target."""
    priorities = list(dict.fromkeys(keys))
    place = {key: number for number, key in enumerate(priorities)}
    codes = np.array([place[key] for key in keys])
    fitted = {
        rule: np.where(choose_groups(timed, breach, codes, share), share, np.inf)
        for rule, share in TIMERS.items()
    }
    fitted["timer"] = learn_timer(timed, breach, codes)
    return {
        rule: dict(zip(priorities, shares.tolist(), strict=True)) for rule, shares in fitted.items()
    }


def choose_priorities(training: pd.DataFrame, costs: CostMatrix) -> set[Key]:
    """Choose the priorities to escalate so that the training tickets lose least.

    What one priority loses does not depend on the others, so each is escalated if that loses less
    than leaving it; if it loses the same, it is left. Tickets without a priority are one group.
    """
    breach = training["breach"].to_numpy(dtype=bool)
    saved = costs.losses(breach, np.zeros_like(breach)) - costs.losses(breach, np.ones_like(breach))
    keys = _read_keys(training, ["priority"])
    priorities = list(dict.fromkeys(keys))
    place = {key: number for number, key in enumerate(priorities)}
    codes = np.array([place[key] for key in keys])
    total, at_stake = (np.bincount(codes, weights=each) for each in (saved, np.abs(saved)))
    return set(compress(priorities, total > ROUNDING * at_stake))


def rate_segments(training: pd.DataFrame, fields: Sequence[str]) -> tuple[dict[Key, float], float]:
    """Estimate the breach rate of each segment, shrunk towards that of all tickets.

    The rate of a segment with n tickets, k of them breached, is
    ``(k + PRIOR_TICKETS * overall) / (n + PRIOR_TICKETS)``: the posterior mean under a beta prior
    worth ``PRIOR_TICKETS`` (20) tickets at the overall rate.

    Returns
    -------
    rates : dict
        By the values of the fields; tickets without a value form segments of their own.
    overall : float
    """
    breach, keys = training["breach"].to_numpy(dtype=bool), _read_keys(training, fields)
    tickets, breached = Counter(keys), Counter(compress(keys, breach))
    overall = float(breach.mean())
    prior = PRIOR_TICKETS * overall
    rates = {key: (breached[key] + prior) / (n + PRIOR_TICKETS) for key, n in tickets.items()}
    return rates, overall


def _read_keys(tickets: pd.DataFrame, fields: Sequence[str]) -> list[Key]:
    """Give each ticket the tuple of its values; without fields they all share one."""
    if not fields:
        return [()] * len(tickets)
    return list(zip(*(_read_labels(tickets, name) for name in fields), strict=True))


def _read_labels(tickets: pd.DataFrame, field: str) -> npt.NDArray[np.object_]:
    labels = np.full(len(tickets), _MISSING, dtype=object)
    if field in tickets:
        known = tickets[field].notna().to_numpy()
        labels[known] = tickets[field].to_numpy(dtype=object)[known]
    return labels
