"""Decision rules that need no model. A model that does not beat them is not worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slarisk.decisions.policies import PerTicket
from slarisk.decisions.thresholds import ROUNDING

if TYPE_CHECKING:
    import pandas as pd

    from slarisk.arrays import Bools
    from slarisk.decisions.costs import CostMatrix

BASELINE_WORDS = {
    "never": "never escalate",
    "always": "always escalate",
    "priority": "by priority",
    "segment": "segment rates",
}

Key = tuple[Hashable, ...]

# A segment's own rate counts half once it has this many training tickets.
PRIOR_TICKETS = 20

_MISSING = object()  # the label of every kind of missing value; unlike NaN it equals itself


def decide_baselines(
    training: pd.DataFrame,
    test: pd.DataFrame,
    training_costs: CostMatrix,
    test_costs: CostMatrix,
    segments: Sequence[str],
) -> dict[str, Bools]:
    """Fit the rules on training tickets, and decide by them which test tickets to escalate.

    Parameters
    ----------
    training, test : DataFrame
        Labelled tickets; the labels of the test tickets are not read.
    training_costs, test_costs : CostMatrix
        Of the same tickets.
    segments : sequence of str
        The fields whose combinations are segments; those that the tickets lack are left out.

    Returns
    -------
    dict of str to bool array of shape (test tickets,)
        ``never``; ``always``; ``priority`` escalates the priorities of :func:`choose_priorities`;
        ``segment`` takes the rate of :func:`rate_segments` for a ticket's probability, and decides
        by the per-ticket rule. A priority that no training ticket has is left, and a new segment
        has the rate of all tickets.
    """
    fields = [name for name in segments if name in training]
    priorities = choose_priorities(training, training_costs)
    rates, overall = rate_segments(training, fields)
    rate = np.array([rates.get(key, overall) for key in _read_keys(test, fields)])
    return {
        "never": np.zeros(len(test), dtype=np.bool_),
        "always": np.ones(len(test), dtype=np.bool_),
        "priority": np.array([key in priorities for key in _read_keys(test, ["priority"])]),
        "segment": PerTicket().decide(rate, test_costs),
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
