"""Score each distinct feature row once and reuse the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from slarisk.arrays import Floats, Integers

    Score = Callable[[pd.DataFrame], Floats]


MOST_BITS = 62


@dataclass(frozen=True, eq=False)
class UniqueRows:
    """What a model looks at in n tickets.

    ``distinct`` has each feature row once, ``place`` (shape (n,)) says which is a ticket's, and
    ``scores`` has a calibrated breach probability for each of the distinct rows.
    """

    distinct: pd.DataFrame
    place: Integers
    scores: Floats


def score_unique_rows(frame: pd.DataFrame, score: Score) -> UniqueRows:
    """Score the rows of one feature frame, equal ones once."""
    rows, count = np.zeros(len(frame), dtype=np.int64), 1
    for name in frame:
        codes, values = pd.factorize(frame[name], use_na_sentinel=False)
        if count * len(values) >= 1 << MOST_BITS:
            found, rows = np.unique(rows, return_inverse=True)
            count = len(found)
        rows, count = rows * len(values) + codes, count * len(values)
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    distinct = frame.iloc[first]
    return UniqueRows(distinct, place, score(distinct))
