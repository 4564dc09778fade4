"""Labelled tickets with their labels and prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.arrays import Bools
    from slarisk.decisions.costs import CostMatrix


@dataclass(frozen=True, eq=False)
class PricedTickets:
    """Some of the labelled tickets, and the costs of their four outcomes."""

    frame: pd.DataFrame
    costs: CostMatrix

    @property
    def breach(self) -> Bools:
        """Their labels, shape (n,)."""
        return breach_labels(self.frame)

    def take(self, rows: NDArray[np.int64] | Bools) -> PricedTickets:
        """Keep some tickets, by position or by a mask."""
        return PricedTickets(self.frame.iloc[rows].reset_index(drop=True), self.costs.take(rows))


def breach_labels(tickets: pd.DataFrame) -> Bools:
    """Read the labels of labelled tickets, bool array of shape (n,)."""
    breach: Bools = tickets["breach"].to_numpy(dtype=bool)
    return breach
