"""Who is escalated where only so many can be a day, whatever order the tickets come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray


def shorten_claims(claims: pd.DataFrame, per_day: int) -> pd.DataFrame:
    """Keep the claims that can still be met: on each day the tickets that save most.

    Of two that save the same, the one created first goes first, then the one whose id does.

    Parameters
    ----------
    claims : DataFrame
        ``day``, ``saving`` (dollars), ``created_at``, ``ticket_id`` and ``place``, which says which
        ticket it is.
    per_day : int
        How many can be met on a day.
    """
    ranked = claims.sort_values(
        ["day", "saving", "created_at", "ticket_id"], ascending=[True, False, True, True]
    )
    return ranked.groupby("day", sort=False).head(per_day)


class Ration:
    """The claims of all tickets to one of the ``per_day`` escalations of their day."""

    def __init__(self, per_day: int) -> None:
        self._per_day = per_day
        self._claims: pd.DataFrame | None = None

    def claim(self, claims: pd.DataFrame) -> None:
        """Add claims."""
        both = claims if self._claims is None else pd.concat([self._claims, claims])
        self._claims = shorten_claims(both, self._per_day)

    def escalate(self, start: int, count: int) -> NDArray[np.bool_]:
        """Say of the tickets from one place on which are escalated, shape (count,)."""
        chosen = np.zeros(count, dtype=np.bool_)
        if self._claims is not None:
            places = self._claims["place"].to_numpy()
            chosen[places[(places >= start) & (places < start + count)] - start] = True
        return chosen
