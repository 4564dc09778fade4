"""Bootstrap weights: resampling tickets with replacement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from slarisk.arrays import Counts

_CHUNK = 1_000_000  # numbers per array while resampling: 8 MB each, about five at a time


def draw_weights(counts: Counts, draws: int, rng: np.random.Generator) -> Iterator[Counts]:
    """Resample tickets with replacement, and count how often each cell is drawn.

    Parameters
    ----------
    counts : int array of shape (m,)
        Tickets of each cell (which are interchangeable); n in all, at least 1.
    draws : int
        Resamples of n tickets each.
    rng : numpy Generator

    Yields
    ------
    int array of shape (chunk, m)
        One row per draw, which sums to n; ``draws`` rows over all chunks.
    """
    total, cells = int(counts.sum()), len(counts)
    # Drawing the count of a cell takes about eight times as long as drawing one ticket.
    by_cell = 8 * cells < total
    owner = np.repeat(np.arange(cells), 0 if by_cell else counts)
    chunk = max(1, _CHUNK // (cells if by_cell else total))
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        if by_cell:
            yield rng.multinomial(total, counts / total, size=rows)
        else:
            drawn = owner.take(rng.integers(total, size=(rows, total)))
            drawn += cells * np.arange(rows)[:, np.newaxis]
            weights = np.bincount(drawn.ravel(), minlength=rows * cells)
            yield weights.reshape(rows, cells)
