"""Find repeated ticket ids among any number of tickets, with little memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

_AT_ONCE = 1 << 22  # hashed ids that are sorted together
_SECOND_KEY = "another sixteen!"  # of the hash that separates collisions of the first


class IdFile:
    """The ids of tickets, hashed to 64 bits and kept on disk in the order they came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def write(self, ids: pd.Series) -> None:
        """Add ids; none is missing."""
        with self._path.open("ab") as file:
            file.write(_hash(ids).tobytes())

    def find_repeated(self, all_ids: Iterable[pd.Series]) -> Positions:
        """Find the ids that occurred before.

        Parameters
        ----------
        all_ids : iterable of Series
            The same ids again, part by part. Read only if two hashes are equal.

        Returns
        -------
        int array
            Their positions, from 0 on, in order.
        """
        shared = self._find_shared()
        if not len(shared):
            return shared
        first, second = [], []
        start = 0
        for ids in all_ids:
            low, high = np.searchsorted(shared, [start, start + len(ids)])
            same = ids.iloc[shared[low:high] - start]
            first.append(_hash(same))
            second.append(_hash(same, _SECOND_KEY))
            start += len(ids)
        both = pd.DataFrame({"first": np.concatenate(first), "second": np.concatenate(second)})
        again: Positions = shared[both.duplicated().to_numpy()]
        return again

    def _find_shared(self) -> Positions:
        """Find the positions of all hashes that occur more than once, in order."""
        if self._path.stat().st_size == 0:
            return np.empty(0, dtype=np.int64)
        hashes: Hashes = np.memmap(self._path, dtype=np.uint64, mode="r")
        groups = -(-len(hashes) // _AT_ONCE)
        found: list[Positions] = []
        for group in range(groups):
            positions = np.concatenate(
                [
                    start + np.flatnonzero(hashes[start : start + _AT_ONCE] % groups == group)
                    for start in range(0, len(hashes), _AT_ONCE)
                ]
            )
            part = hashes[positions]
            ordered = np.sort(part)
            repeated = ordered[1:][ordered[1:] == ordered[:-1]]
            if len(repeated):
                found.append(positions[np.isin(part, repeated)])
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _hash(ids: pd.Series, key: str = "0123456789123456") -> Hashes:
    values = ids.to_numpy(dtype=object)
    hashed: Hashes = pd.util.hash_array(values, hash_key=key, categorize=False)
    return hashed
