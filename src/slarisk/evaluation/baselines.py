"""Policies that need no model. A model that does not beat them is not worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from slarisk.arrays import Bools
from slarisk.decisions.costs import CostMatrix
from slarisk.decisions.policies import PerTicket
from slarisk.decisions.thresholds import ROUNDING

BASELINE_WORDS = {
    "never": "never escalate",
    "always": "always escalate",
    "priority": "by priority",
    "segment": "segment rates",
}

Labels = npt.NDArray[np.object_]

Key = tuple[Hashable, ...]

# A segment's own rate counts half once it has this many training tickets.
PRIOR_TICKETS = 20


class Baseline(Protocol):
    """A policy fitted without a model."""

    @property
    def name(self) -> str:
        """Its name in metrics and reports."""
        ...

    def escalate(
        self, priority: Labels | None, segments: Sequence[Labels], costs: CostMatrix
    ) -> Bools:
        """Say which tickets to escalate.

        Parameters
        ----------
        priority : object array of shape (n,) or None
            None when the system has no priorities.
        segments : sequence of object arrays of shape (n,)
            In the same order as when the baseline was fitted.
        costs : CostMatrix
            Of the same n tickets.

        Returns
        -------
        bool array of shape (n,)
        """
        ...


@dataclass(frozen=True)
class Never:
    """Leave every ticket."""

    name: str = "never"

    def escalate(
        self, priority: Labels | None, segments: Sequence[Labels], costs: CostMatrix
    ) -> Bools:
        """Say which tickets to escalate: none."""
        return np.zeros(len(costs), dtype=np.bool_)


@dataclass(frozen=True)
class Always:
    """Escalate every ticket."""

    name: str = "always"

    def escalate(
        self, priority: Labels | None, segments: Sequence[Labels], costs: CostMatrix
    ) -> Bools:
        """Say which tickets to escalate: all."""
        return np.ones(len(costs), dtype=np.bool_)


@dataclass(frozen=True)
class ByPriority:
    """Escalate the tickets of some priorities.

    ``escalated`` holds these priorities; None in it stands for tickets without one.
    """

    escalated: frozenset[Hashable]
    name: str = "priority"

    def escalate(
        self, priority: Labels | None, segments: Sequence[Labels], costs: CostMatrix
    ) -> Bools:
        """Say which tickets to escalate; a priority not seen in training is left."""
        labels = _name_missing(priority, len(costs))
        return np.fromiter((label in self.escalated for label in labels), np.bool_, len(costs))


@dataclass(frozen=True)
class BySegment:
    """Take the breach rate of a ticket's segment for its probability, with the per-ticket rule.

    ``rates`` holds the smoothed training rates by the segment's values; a segment that is not in
    it has the rate of all tickets, ``overall``.
    """

    rates: dict[Key, float]
    overall: float
    name: str = "segment"

    def escalate(
        self, priority: Labels | None, segments: Sequence[Labels], costs: CostMatrix
    ) -> Bools:
        """Say which tickets to escalate."""
        keys = _combine(segments, len(costs))
        rate = np.fromiter((self.rates.get(key, self.overall) for key in keys), float, len(costs))
        return PerTicket().decide(rate, costs)


def fit_baselines(
    priority: Labels | None, segments: Sequence[Labels], breach: Bools, costs: CostMatrix
) -> list[Baseline]:
    """Fit every baseline on training tickets.

    Parameters
    ----------
    priority : object array of shape (n,) or None
        None when the system has no priorities: all tickets then count as one.
    segments : sequence of object arrays of shape (n,)
        The fields whose combinations are segments; may be empty. Tickets without a value form
        segments of their own.
    breach : bool array of shape (n,)
    costs : CostMatrix
        Of the same n tickets, n at least 1.

    Returns
    -------
    list of Baseline
        ``never``, ``always``, ``priority``, ``segment``.
    """
    return [
        Never(),
        Always(),
        fit_by_priority(priority, breach, costs),
        fit_by_segment(segments, breach),
    ]


def fit_by_priority(priority: Labels | None, breach: Bools, costs: CostMatrix) -> ByPriority:
    """Pick the set of priorities to escalate that loses least on these tickets.

    What one priority loses does not depend on the others, so each is escalated if that loses less
    than leaving it; if it loses the same, it is left.
    """
    left = costs.losses(breach, np.zeros_like(breach))
    escalated = costs.losses(breach, np.ones_like(breach))
    labels = _name_missing(priority, len(breach))
    codes, priorities = pd.factorize(labels, use_na_sentinel=False)
    saved = np.bincount(codes, weights=left - escalated)
    at_stake = np.bincount(codes, weights=np.abs(left - escalated))
    pays = saved > ROUNDING * at_stake
    return ByPriority(frozenset(_name_missing(priorities[pays], int(pays.sum()))))


def fit_by_segment(segments: Sequence[Labels], breach: Bools) -> BySegment:
    """Shrink the breach rate of each segment towards that of all tickets.

    The rate of a segment with n tickets, k of them breached, is
    ``(k + PRIOR_TICKETS * overall) / (n + PRIOR_TICKETS)``: the posterior mean under a beta prior
    worth ``PRIOR_TICKETS`` (20) tickets at the overall rate.
    """
    keys = _combine(segments, len(breach))
    tickets, breached = Counter(keys), Counter(compress(keys, breach))
    overall = float(breach.mean())
    prior = PRIOR_TICKETS * overall
    rates = {key: (breached[key] + prior) / (n + PRIOR_TICKETS) for key, n in tickets.items()}
    return BySegment(rates, overall)


def _combine(segments: Sequence[Labels], tickets: int) -> list[Key]:
    """Give each ticket the tuple of its segment values; without fields they all share one."""
    if not segments:
        return [()] * tickets
    return list(zip(*(_name_missing(values, tickets) for values in segments), strict=True))


def _name_missing(values: npt.NDArray[Any] | None, tickets: int) -> Labels:
    """Write every kind of missing value as None, which unlike NaN equals itself."""
    labels = np.full(tickets, None, dtype=object)
    if values is not None:
        known = ~pd.isna(values)
        labels[known] = values[known]
    return labels
