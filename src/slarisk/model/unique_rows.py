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

MAX_BITS = 62  # of the number that stands for a row


@dataclass(frozen=True, eq=False)
class UniqueRows:
    """The distinct feature rows of n tickets, and the score of each.

    ``rows.iloc[inverse]`` are the tickets' feature rows (``inverse`` has shape (n,)); ``scores``
    has a calibrated breach probability for each distinct row.
    """

    rows: pd.DataFrame
    inverse: Integers
    scores: Floats


def score_unique_rows(frame: pd.DataFrame, score: Score) -> UniqueRows:
    """Score the rows of a feature frame, equal ones once."""
    numbers, count = np.zeros(len(frame), dtype=np.int64), 1
    for name in frame:
        codes, values = pd.factorize(frame[name], use_na_sentinel=False)
        if count * len(values) >= 1 << MAX_BITS:
            distinct, numbers = np.unique(numbers, return_inverse=True)
            count = len(distinct)
        numbers, count = numbers * len(values) + codes, count * len(values)
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    rows = frame.iloc[first]
    return UniqueRows(rows, inverse, score(rows))
