"""When tickets that wait would be escalated if nothing changed but the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.learning.landmarks import get_standing
from slarisk.tickets.contract import get_dates
from slarisk.tickets.fields import AS_OF
from slarisk.tickets.labels import make_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.policies import DecisionPolicy
    from slarisk.model.manifest import Manifest


def plan_escalations(
    manifest: Manifest,
    policy: DecisionPolicy,
    score: Callable[[pd.DataFrame], Floats],
    tickets: pd.DataFrame,
    now: Bools,
    may: Bools,
) -> pd.Series:
    """Find when each open ticket is to be escalated: now, or at a landmark to come.

    A ticket that waits is looked at again at each of its landmarks, as it stands now, but older.

    Parameters
    ----------
    manifest : Manifest
    policy : DecisionPolicy
    score : callable
        Gives the probability of tickets that stand at a moment.
    tickets : DataFrame of n rows
        As they were scored.
    now, may : bool arrays of shape (n,)
        Which open tickets are escalated now, and which others may be later.

    Returns
    -------
    Series of datetimes
        NaT of all others that are never escalated, and wherever decisions do not go by the time.
    """
    as_of = get_dates(tickets, AS_OF).astype("datetime64[us]")
    times = as_of.where(now)
    stopping = manifest.stopping
    if not policy.in_time or stopping is None:
        return times
    left, standing = np.flatnonzero(may & ~now), get_standing(tickets)
    for place in range(1, max(len(stopping.shares), len(stopping.hours))):
        age = stopping.find_age(place, standing.target[left])
        due = np.isfinite(age) & (age > standing.age[left])
        rows = left[due]
        if not len(rows):
            continue
        some = tickets.iloc[rows]
        clock = make_clock(some, manifest.data, manifest.sla, as_of.max())
        created = get_dates(some, "created_at")
        moments = clock.pass_at(created, pd.Series(age[due], index=some.index))
        later = manifest.stand(some.assign(**{AS_OF: moments}))
        fires = policy.decide(score(later), manifest.costs(later), manifest.facts(later))
        times[some.index[fires]] = moments[fires]
        left = np.setdiff1d(left, rows[fires])
    return times
