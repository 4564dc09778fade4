"""When tickets that wait would be escalated if nothing changed but the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import DecisionKind, Moment
from slarisk.tickets.contract import get_dates
from slarisk.tickets.fields import AS_OF
from slarisk.tickets.labels import make_clock

if TYPE_CHECKING:
    from slarisk.arrays import Bools
    from slarisk.decisions.facts import Standing
    from slarisk.scoring.task import Task


def plan_escalations(
    task: Task, tickets: pd.DataFrame, standing: Standing, now: Bools, waiting: Bools
) -> pd.Series:
    """Find when each open ticket is to be escalated: now, or at a landmark to come.

    A ticket that waits is looked at again at each of its landmarks, as it stands now, but older.

    Parameters
    ----------
    task : Task
    tickets : DataFrame of n rows
        As they were scored.
    standing : Standing
        Of the n tickets.
    now, waiting : bool arrays of shape (n,)
        Which open tickets are escalated now, and which may be later.

    Returns
    -------
    Series of datetimes
        NaT of all others that are never escalated, and wherever decisions do not go by the time.
    """
    times = pd.Series(pd.NaT, index=tickets.index, dtype="datetime64[us]")
    manifest, stopping = task.bundle.manifest, task.bundle.manifest.stopping
    if task.at is None or manifest.moment is not Moment.open or stopping is None:
        return times
    times[now] = task.at
    if task.decision.name is not DecisionKind.now_or_later:
        return times
    left = np.flatnonzero(waiting)
    for place in range(1, max(len(stopping.shares), len(stopping.hours))):
        age = stopping.find_age(place, standing.target[left])
        due = np.isfinite(age) & (age > standing.age[left])
        some = tickets.iloc[left[due]]
        if not len(some):
            continue
        clock = make_clock(some, manifest.data, manifest.sla, task.at)
        moments = clock.pass_at(
            get_dates(some, "created_at"), pd.Series(age[due], index=some.index)
        )
        later = manifest.stand(some.assign(**{AS_OF: moments}))
        probability = task.bundle.model.calibrate(task.bundle.make_standing_features(later))
        fires = task.policy.decide(probability, manifest.costs(later), manifest.facts(later))
        times[some.index[fires]] = moments[fires].to_numpy()
        left = np.setdiff1d(left, left[due][fires])
    return times
