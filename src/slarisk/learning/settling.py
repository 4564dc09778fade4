"""From which tickets a model may learn at a moment, and what their labels were by then.

Of the tickets created shortly before a moment, those whose label is known by then are a selection:
the ones that ended quickly. A ticket is *settled* if its whole cohort has had time to show,
whatever became of it: it was created so long ago that its target has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats

    Positions = NDArray[np.int64]

_LATE = 0.95  # share of the tickets open at an age that breach, for the age to settle a ticket
_FEWEST = 50  # of these tickets, for the share to be believed, in each of two halves
_MOST_WEIGHT = 20.0  # of a ticket whose like were hardly ever known by the moment


@dataclass(frozen=True)
class Settled:
    """What is settled at a moment, for n tickets.

    Attributes
    ----------
    settled : bool array of shape (n,)
        Tickets created before the moment whose cohort has had time to show.
    assumed : bool array of shape (n,)
        Those of them whose label was not known by then: they were open for so long that they count
        as breached.
    since : Series of datetimes, shape (n,)
        When each ticket was settled.
    late_after : float or None
        The age in hours at which a ticket without a target is settled, where there are such.
    """

    settled: Bools
    assumed: Bools
    since: pd.Series
    late_after: float | None


def find_settled(tickets: pd.DataFrame, cut: pd.Timestamp, late_after: float | None) -> Settled:
    """Find the tickets that are settled at a moment.

    A ticket with a deadline is settled when that has passed; one without is settled at the age
    ``late_after`` (hours), which is learnt from the labels known by the moment if None is given.

    Parameters
    ----------
    tickets : DataFrame of shape (n, fields)
        Labelled, with ``created_at``, ``target_passes_at``, ``label_known_at`` and ``breach``.
    cut : Timestamp
    late_after : float, optional

    Returns
    -------
    Settled
        Nothing without a deadline is settled if no age could be learnt.
    """
    since = tickets["target_passes_at"].copy()
    open_ended = since.isna() & tickets["created_at"].notna()
    if not open_ended.any():
        late_after = None
    elif late_after is None:
        late_after = learn_late_after(tickets[open_ended], cut)
    if late_after is not None:
        aged = tickets["created_at"] + pd.Timedelta(hours=late_after)
        since = since.mask(open_ended, aged)
    settled = ((tickets["created_at"] < cut) & (since < cut)).to_numpy()
    known = (tickets["label_known_at"] < cut).to_numpy()
    return Settled(settled, settled & ~known, since, late_after)


def learn_late_after(tickets: pd.DataFrame, cut: pd.Timestamp) -> float | None:
    """Learn the age from which a ticket that is still without a label can be counted as breached.

    It is the least age at which, of the tickets that had no label then and have one by ``cut``, at
    least 95% breached: over all of them, and over the later half of them alone, which validates it.

    Returns
    -------
    float or None
        Hours; None if there is no such age, or too few tickets to tell.
    """
    known = tickets[(tickets["created_at"] < cut) & (tickets["label_known_at"] < cut)]
    known = known.sort_values("created_at", kind="stable")
    waited = (known["label_known_at"] - known["created_at"]).dt.total_seconds().to_numpy() / 3600
    breach = known["breach"].to_numpy(dtype=bool)
    later = np.arange(len(known)) >= len(known) // 2
    ages = [_share_breached(waited[part], breach[part]) for part in (np.ones_like(later), later)]
    grid = np.arange(1.0, (waited.max() if len(waited) else 0.0) + 1)
    fits = np.ones(len(grid), dtype=np.bool_)
    for waits, share, count in ages:
        place = np.searchsorted(waits, grid, side="right")  # those open at an age waited longer
        fits &= (share[place] >= _LATE) & (count[place] >= _FEWEST)
    return float(grid[np.argmax(fits)]) if fits.any() else None


def _share_breached(waited: Floats, breach: Bools) -> tuple[Floats, Floats, Floats]:
    """Of tickets in order of their wait, give waits, and share breached and count from each on."""
    order = np.argsort(waited, kind="stable")
    count = np.append(np.arange(len(order), 0, -1), 0).astype(float)
    breached = np.append(np.cumsum(breach[order][::-1])[::-1], 0)
    return waited[order], breached / np.maximum(count, 1), count


def weigh_known(tickets: pd.DataFrame, rows: Positions, cut: pd.Timestamp) -> Floats:
    """Weigh tickets whose label was known by a moment for those of their age that were open.

    A ticket counts by 1 / the share of all tickets that were created long enough before the moment
    for its wait to be seen (Robins and Rotnitzky 1992), at most 20.

    Parameters
    ----------
    tickets : DataFrame of shape (n, fields)
    rows : int array of shape (k,)
        Positions of the tickets to weigh, whose labels were known by ``cut``.
    cut : Timestamp

    Returns
    -------
    float array of shape (k,)
    """
    created = tickets["created_at"]
    room = np.sort((cut - created[created < cut]).dt.total_seconds().to_numpy())
    waited = (tickets["label_known_at"] - created).iloc[rows].dt.total_seconds().to_numpy()
    enough = len(room) - np.searchsorted(room, waited)
    return np.minimum(len(room) / np.maximum(enough, 1), _MOST_WEIGHT)
