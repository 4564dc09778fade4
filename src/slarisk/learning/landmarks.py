"""Landmark rows: each ticket at every age at which it was still open, as it stood then.

A model that is fitted on them gives the risk of a ticket at any age, given that it is open
(J. C. van Houwelingen, 2007, "Dynamic prediction by landmarking in event history analysis").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import CreationKind, LabelKind, Moment
from slarisk.decisions.facts import Standing
from slarisk.decisions.stopping import Stopping
from slarisk.errors import InputError
from slarisk.tickets.changes import IDLE, name_so_far
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import AGE, AS_OF, LAST_CHANGE, TARGET, moment_known
from slarisk.tickets.labels import make_clock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats, Integers
    from slarisk.config import DataPolicy, FeatureSet, Landmarks, SlaPolicy
    from slarisk.tickets.changes import FieldChanges
    from slarisk.tickets.prepare import LabelledTickets

_NOW = {  # entries of ``features.now``, and their columns
    "age": AGE,
    "weekday_hours": "weekday_hours",
    "share": "share_of_target",
    "hours_left": "hours_left",
    "hour": "hour_now",
    "weekday": "weekday_now",
}
NOW_ENTRIES = tuple(_NOW)


def count_weekday_hours(times: pd.Series) -> pd.Series:
    """Count the hours from Monday to Friday since a Monday long ago; differences mean something.

    Examples
    --------
    >>> friday_and_monday = ["2024-03-01 12:00", "2024-03-04 06:00"]
    >>> times = pd.Series(pd.to_datetime(friday_and_monday))
    >>> count_weekday_hours(times).diff().tolist()[1]
    18.0
    """
    since = (times - pd.Timestamp("1970-01-05")).dt.total_seconds() / 3600
    weeks, within = since // 168, since % 168
    return weeks * 120 + within.clip(upper=120)


def name_now(entry: str) -> str:
    """Name the column of an entry of ``features.now``."""
    return _NOW[entry]


@dataclass(frozen=True, eq=False)
class LandmarkRows:
    """Tickets at their landmarks, in order of ticket and age; each has one at creation.

    Attributes
    ----------
    frame : DataFrame of as many rows
        The fields of the tickets as they stood, and what :func:`add_standing` adds.
    ticket : int array of shape (rows,)
        Position of each row's ticket among those that the rows were made of.
    place : int array of shape (rows,)
        Which landmark it is, from 0 on.
    age : array of shape (rows,)
        Hours on the clock.
    open : bool array of shape (rows,)
        Whether the ticket was open then: a ticket that arrived resolved never was.
    """

    frame: pd.DataFrame
    ticket: Integers
    place: Integers
    age: Floats
    open: Bools

    @property
    def at_creation(self) -> Bools:
        """Mask of the rows at creation: one for each ticket, in their order."""
        first: Bools = self.place == 0
        return first

    @property
    def creation_frame(self) -> pd.DataFrame:
        """The tickets at creation."""
        return self.frame[self.at_creation].reset_index(drop=True)


def lay_landmarks(
    tickets: LabelledTickets,
    rows: NDArray[np.int64],
    landmarks: Landmarks,
    features: FeatureSet,
    data: DataPolicy,
    sla: SlaPolicy,
    cut: pd.Timestamp | None = None,
) -> LandmarkRows:
    """Lay out labelled tickets at their landmarks.

    Parameters
    ----------
    tickets : LabelledTickets
    rows : int array of shape (n,)
        Positions of the tickets to lay out.
    landmarks, features, data, sla : policies
    cut : Timestamp, optional
        A landmark that a ticket reached at or after this moment is left out.

    Returns
    -------
    LandmarkRows
    """
    frame = tickets.frame.iloc[rows].reset_index(drop=True)
    created = get_dates(frame, "created_at").astype("datetime64[us]")
    open_hours = frame["open_hours"].to_numpy(dtype=float)
    target = frame["breaches_after"].to_numpy(dtype=float)
    clock = make_clock(frame, data, sla, tickets.observed)
    by_share, by_hours = list_places(landmarks)
    ages = Stopping(by_share, by_hours)
    parts = [(np.arange(len(frame)), 0, np.zeros(len(frame)), created.to_numpy())]
    for place in range(1, max(len(by_share), len(by_hours))):
        age = ages.find_age(place, target)
        reached = np.flatnonzero(np.isfinite(age) & (age < open_hours) & (age > 0))
        passed = clock.pass_at(created, pd.Series(np.where(np.isfinite(age), age, np.nan)))
        moments = passed.to_numpy(dtype="datetime64[us]")
        reached = reached[~np.isnat(moments[reached])]
        if cut is not None:
            reached = reached[moments[reached] < np.datetime64(cut)]
        parts.append((reached, place, age[reached], moments[reached]))
    ticket, age, moment = (np.concatenate([part[each] for part in parts]) for each in (0, 2, 3))
    places = np.concatenate([np.full(len(part[0]), part[1]) for part in parts])
    order = np.lexsort((places, ticket))
    ticket, places, age = ticket[order], places[order], age[order]
    stood = take_standing(frame, ticket, moment[order], tickets.changes, rows, features)
    stood = add_standing(stood, age, target[ticket])
    return LandmarkRows(stood, ticket, places, age, age < open_hours[ticket])


def stand_at_creation(tickets: LabelledTickets, features: FeatureSet) -> LabelledTickets:
    """Add to labelled tickets what open ones have, as of their creation."""
    frame, rows = tickets.frame, np.arange(len(tickets.frame))
    created = get_dates(frame, "created_at").to_numpy(dtype="datetime64[us]")
    stood = take_standing(frame, rows, created, tickets.changes, rows, features)
    target = frame["breaches_after"].to_numpy(dtype=float)
    return replace(tickets, frame=add_standing(stood, np.zeros(len(rows)), target))


def list_places(landmarks: Landmarks) -> tuple[list[float], list[float]]:
    """List the landmarks from 0 on: as shares of a target, and in hours."""
    return [0.0, *landmarks.shares], [0.0, *landmarks.hours]


def take_standing(
    frame: pd.DataFrame,
    ticket: Integers,
    moments: NDArray[np.datetime64],
    changes: FieldChanges | None,
    rows: NDArray[np.int64],
    features: FeatureSet,
) -> pd.DataFrame:
    """Repeat tickets with the values that their changing fields had at some moments.

    Parameters
    ----------
    frame : DataFrame of n rows
    ticket : int array of shape (k,)
        Positions in ``frame``.
    moments : datetime64 array of shape (k,)
    changes : FieldChanges or None
        Of the tickets at the positions ``rows``, shape (n,), of all.
    features : FeatureSet

    Returns
    -------
    DataFrame of k rows
        With ``as_of``, and the columns of ``features.so_far``.
    """
    stood = frame.iloc[ticket].reset_index(drop=True)
    columns = {AS_OF: pd.Series(moments)}
    if changes is not None:
        events = changes.find(rows[ticket], moments)
        for name in changes.values:
            columns[str(name)] = changes.values[name].iloc[events].reset_index(drop=True)
        columns[LAST_CHANGE] = pd.Series(changes.written[events])
        for entry in features.so_far:
            if entry != IDLE:
                columns[name_so_far(entry)] = pd.Series(changes.count_so_far(events, entry))
    return stood.assign(**columns)


def add_standing(frame: pd.DataFrame, age: Floats, target: Floats) -> pd.DataFrame:
    """Add the ages of tickets and their targets (hours, NaN where there is none)."""
    return frame.assign(**{AGE: age, TARGET: target})


def get_standing(frame: pd.DataFrame) -> Standing:
    """Return the ages of tickets to which :func:`add_standing` was applied."""
    return Standing(
        frame[AGE].to_numpy(dtype=float),
        frame[TARGET].to_numpy(dtype=float),
        get_text(frame, "priority").to_numpy(dtype=object),
    )


def validate_open_moment(data: DataPolicy, sla: SlaPolicy, landmarks: Landmarks) -> None:
    """Raise if tickets cannot be followed through their lives.

    Raises
    ------
    InputError
        Names the key.
    """
    if data.creation.kind is CreationKind.imputed:
        raise InputError(
            "moment=open: needs the times at which tickets were created, and data.creation imputes "
            "them."
        )
    if not {"resolved_at", "resolution_hours"} & set(data.columns):
        raise InputError(
            "moment=open: needs to know how long tickets were open: map resolved_at, or "
            "resolution_hours, in data.columns."
        )
    if sla.pause.minutes is not None:
        raise InputError(
            f"moment=open: sla.pause.minutes={sla.pause.minutes} says how long a ticket was paused "
            "in all, which nobody knows while it is open. Name the pauses by their times, or leave "
            "it out."
        )
    for field in _list_target_fields(data):
        if moment_known(field, data) is not Moment.created:
            raise InputError(
                f"moment=open: the target of a ticket rests on {field}, which the data policy "
                f"{data.name} does not say to be known at creation. List it under "
                "data.known.created if it is."
            )
    for key in ("shares", "hours"):
        values = getattr(landmarks, key)
        if values != sorted(set(values)):
            raise InputError(f"landmarks.{key}={values}: must rise.")


def _list_target_fields(data: DataPolicy) -> list[str]:
    if data.label.kind is LabelKind.target:
        own = "sla_target_hours" in data.columns
        names = ["sla_target_hours" if own else "priority"]
    else:
        names = ["due_at"]
    return [name for name in names if name in data.columns]
