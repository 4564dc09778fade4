"""Find ticket ids that come again, in any number of tickets, with little memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[np.int64]
    Hashes = NDArray[np.uint64]

_AT_ONCE = 1 << 22  # hashed ids that are sorted together
_SECOND_KEY = "another sixteen!"  # of the hash that tells apart what the first does not


class IdFile:
    """The ids of tickets, hashed to 64 bits and kept on disk in the order they came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def write(self, ids: pd.Series) -> None:
        """Add ids; none is missing."""
        with self._path.open("ab") as file:
            file.write(_hash(ids).tobytes())

    def find_repeated(self, all_ids: Iterable[pd.Series]) -> Places:
        """Find the ids that an earlier one equals.

        Parameters
        ----------
        all_ids : iterable of Series
            The same ids again, part by part. Read only if two have the same hash.

        Returns
        -------
        int array
            Their places, from 0 on, in order.
        """
        alike = self._find_alike()
        if not len(alike):
            return alike
        first, second = [], []
        start = 0
        for ids in all_ids:
            low, high = np.searchsorted(alike, [start, start + len(ids)])
            found = ids.iloc[alike[low:high] - start]
            first.append(_hash(found))
            second.append(_hash(found, _SECOND_KEY))
            start += len(ids)
        both = pd.DataFrame({"first": np.concatenate(first), "second": np.concatenate(second)})
        again: Places = alike[both.duplicated().to_numpy()]
        return again

    def _find_alike(self) -> Places:
        """Find all places whose hash is not the only one of its kind, in order."""
        if self._path.stat().st_size == 0:
            return np.empty(0, dtype=np.int64)
        hashes: Hashes = np.memmap(self._path, dtype=np.uint64, mode="r")
        groups = -(-len(hashes) // _AT_ONCE)
        found = []
        for group in range(groups):
            places = np.concatenate(
                [
                    start + np.flatnonzero(hashes[start : start + _AT_ONCE] % groups == group)
                    for start in range(0, len(hashes), _AT_ONCE)
                ]
            )
            these = hashes[places]
            ordered = np.sort(these)
            twice = ordered[1:][ordered[1:] == ordered[:-1]]
            if len(twice):
                found.append(places[np.isin(these, twice)])
        return np.sort(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _hash(ids: pd.Series, key: str = "0123456789123456") -> Hashes:
    values = ids.to_numpy(dtype=object)
    hashed: Hashes = pd.util.hash_array(values, hash_key=key, categorize=False)
    return hashed
