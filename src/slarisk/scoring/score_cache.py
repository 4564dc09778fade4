"""Score each distinct feature row of an export once and reuse the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.model.unique_rows import MOST_BITS, UniqueRows, score_unique_rows
from slarisk.scoring.spool import Spool
from slarisk.scoring.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from slarisk.arrays import Floats, Integers

    Codes = NDArray[np.uint16]
    Score = Callable[[pd.DataFrame], Floats]


_MOST_ROWS = 1 << 20  # that are scored ahead and remembered: 16 MB


_MOST_VALUES = 1 << 16  # of a feature; one that has more hardly ever brings equal rows


_READ_ROWS = 1 << 17


_SCORED_ROWS = 1 << 15  # together


class ScoreCache:
    """The feature rows of an export: noted as they come, scored once all are there, then recalled.

    Of many tickets few differ in all that a model looks at, and trees are quick with rows that are
    in order. A row is noted by the numbers of its values. Nothing is hashed, so no two rows are
    ever taken for each other. Where a feature has too many values, nothing is recalled.
    """

    def __init__(self, score: Score, path: Path) -> None:
        self._score = score
        self._noted = Spool(path)
        self._lock = threading.Lock()
        self._values: dict[str, dict[Hashable, int]] = {}
        self._empty = pd.DataFrame()
        self._few = True  # as long as no feature has too many values
        self._rows: Integers = np.empty(0, dtype=np.int64)
        self._scores: Floats = np.empty(0)

    def number(self, frame: pd.DataFrame) -> Codes:
        """Number the values of a feature frame; threads may do so, each with its own.

        Returns
        -------
        array of shape (n, features)
        """
        numbers = np.zeros(frame.shape, dtype=np.uint16)
        for place, name in enumerate(frame):
            if not self._few:
                return numbers
            codes, found = pd.factorize(frame[name], use_na_sentinel=False)
            with self._lock:
                book = self._values.setdefault(str(name), {})
                keys = [None if each != each else each for each in found]
                here = [book.setdefault(key, len(book)) for key in keys]
                self._few = self._few and len(book) <= _MOST_VALUES
                self._empty = frame.head(0)
            if self._few:
                numbers[:, place] = np.array(here, dtype=np.uint16)[codes]
        return numbers

    def note(self, numbers: Codes) -> None:
        """Note what was numbered, in the order of the tickets."""
        kind = pa.list_(pa.uint16(), numbers.shape[1])
        column = pa.FixedSizeListArray.from_arrays(numbers.ravel(), type=kind)
        self._noted.write(pa.record_batch([column], ["numbers"]))

    def score(self) -> None:
        """Score each of the rows that were noted, but no more than can be remembered."""
        if not self.recalls:
            return
        found, pending = [np.empty(0, dtype=np.int64)], 0
        for numbers in self.read(_READ_ROWS):
            found.append(np.unique(self._pack(numbers)))
            pending += len(found[-1])
            if pending > _MOST_ROWS:
                found, pending = [np.unique(np.concatenate(found))], 0
            if len(found[0]) > _MOST_ROWS:
                break
        rows = np.unique(np.concatenate(found))[:_MOST_ROWS]
        parts = (rows[start : start + _SCORED_ROWS] for start in range(0, len(rows), _SCORED_ROWS))
        scores = map_ahead(lambda part: self._score(self._unpack(part)), parts)
        self._rows, self._scores = rows, np.concatenate([np.empty(0), *scores])

    @property
    def recalls(self) -> bool:
        """Whether rows can be told apart by the numbers of their values."""
        return self._few and sum(self._bits()) <= MOST_BITS

    def read(self, rows: int) -> Iterator[Codes]:
        """Read what was noted, so many rows at a time."""
        for table in self._noted.read(rows):
            column = table["numbers"].combine_chunks()
            yield column.flatten().to_numpy().reshape(len(column), -1)

    def look(self, numbers: Codes, see: Callable[[], pd.DataFrame]) -> UniqueRows:
        """ScoreCache the scores of some rows; those that are not remembered are scored.

        Parameters
        ----------
        numbers : array of shape (n, features)
            What was noted.
        see : callable
            Gives the feature frame, for when it cannot be told from what was noted.
        """
        if not self.recalls:
            return score_unique_rows(see(), self._score)
        rows, place = np.unique(self._pack(numbers), return_inverse=True)
        distinct = self._unpack(rows)
        at = np.searchsorted(self._rows, rows)
        known = np.append(self._rows, -1)[at] == rows
        scores = np.append(self._scores, np.nan)[at]
        if not known.all():
            scores[~known] = self._score(distinct[~known])
        return UniqueRows(distinct, place, scores)

    def _bits(self) -> list[int]:
        return [max(len(book) - 1, 0).bit_length() for book in self._values.values()]

    def _pack(self, numbers: Codes) -> Integers:
        """Make one number of those of a row."""
        rows = np.zeros(len(numbers), dtype=np.int64)
        for place, bits in enumerate(self._bits()):
            rows = (rows << bits) | numbers[:, place]
        return rows

    def _unpack(self, rows: Integers) -> pd.DataFrame:
        """Give the feature rows behind numbers."""
        columns = {}
        for (name, book), bits in zip(
            reversed(self._values.items()), reversed(self._bits()), strict=True
        ):
            values = pd.Series([*book], dtype=self._empty[name].dtype)
            columns[name] = values.take(rows & ((1 << bits) - 1)).array
            rows = rows >> bits
        return pd.DataFrame(columns, columns=self._empty.columns)
