"""Score each distinct feature row of an export once and reuse the result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from slarisk.model.unique_rows import MAX_BITS, UniqueRows, score_unique_rows
from slarisk.scoring.spool import Spool
from slarisk.scoring.threads import map_ahead

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from slarisk.arrays import Floats
    from slarisk.model.unique_rows import Score

    Codes = NDArray[np.uint16]
    Integers = NDArray[np.int64]

_MAX_CACHED = 1 << 20  # rows that are scored ahead: 16 MB
_MAX_VALUES = 1 << 16  # of a feature; with more, equal rows hardly ever occur
_READ_ROWS = 1 << 17
_SCORED_ROWS = 1 << 15  # together


class ScoreCache:
    """The feature rows of an export: collected as codes, scored once all are there, looked up.

    Few of many tickets differ in all features, and trees are quick with sorted rows. A row is
    coded by the numbers of its values; nothing is hashed, so two different rows never share a
    code. Once a feature has too many values, nothing is cached.
    """

    def __init__(self, score: Score, path: Path) -> None:
        self._score = score
        self._spool = Spool(path)
        self._lock = threading.Lock()
        self._values: dict[str, dict[Hashable, int]] = {}
        self._empty = pd.DataFrame()
        self._few_values = True  # as long as no feature has too many
        self._rows: Integers = np.empty(0, dtype=np.int64)
        self._scores: Floats = np.empty(0)

    def encode(self, frame: pd.DataFrame) -> Codes:
        """Number the values of a feature frame, shape (n, features); thread-safe."""
        coded = np.zeros(frame.shape, dtype=np.uint16)
        for position, name in enumerate(frame):
            if not self._few_values:
                return coded
            codes, values = pd.factorize(frame[name], use_na_sentinel=False)
            with self._lock:
                numbers = self._values.setdefault(str(name), {})
                keys = [None if value != value else value for value in values]
                number_of = [numbers.setdefault(key, len(numbers)) for key in keys]
                self._few_values = self._few_values and len(numbers) <= _MAX_VALUES
                self._empty = frame.head(0)
            if self._few_values:
                coded[:, position] = np.array(number_of, dtype=np.uint16)[codes]
        return coded

    def add(self, codes: Codes) -> None:
        """Add encoded rows, in the order of the tickets."""
        kind = pa.list_(pa.uint16(), codes.shape[1])
        column = pa.FixedSizeListArray.from_arrays(codes.ravel(), type=kind)
        self._spool.write(pa.record_batch([column], ["codes"]))

    def score(self) -> None:
        """Score the distinct rows that were added, at most ``_MAX_CACHED`` of them."""
        if not self.usable:
            return
        distinct, pending = [np.empty(0, dtype=np.int64)], 0
        for codes in self.read(_READ_ROWS):
            distinct.append(np.unique(self._pack(codes)))
            pending += len(distinct[-1])
            if pending > _MAX_CACHED:
                distinct, pending = [np.unique(np.concatenate(distinct))], 0
            if len(distinct[0]) > _MAX_CACHED:
                break
        rows = np.unique(np.concatenate(distinct))[:_MAX_CACHED]
        parts = (rows[start : start + _SCORED_ROWS] for start in range(0, len(rows), _SCORED_ROWS))
        scores = map_ahead(lambda part: self._score(self._unpack(part)), parts)
        self._rows, self._scores = rows, np.concatenate([np.empty(0), *scores])

    @property
    def usable(self) -> bool:
        """Whether the codes of a row fit one number."""
        return self._few_values and sum(self._bits()) <= MAX_BITS

    def read(self, rows: int) -> Iterator[Codes]:
        """Read the codes that were added, so many rows at a time."""
        for table in self._spool.read(rows):
            column = table["codes"].combine_chunks()
            yield column.flatten().to_numpy().reshape(len(column), -1)

    def look_up(self, codes: Codes, make_frame: Callable[[], pd.DataFrame]) -> UniqueRows:
        """Look up the scores of some rows; those that are not cached are scored.

        Parameters
        ----------
        codes : array of shape (n, features)
            As :meth:`encode` gave them.
        make_frame : callable
            Makes the feature frame, which is needed if the cache is not usable.
        """
        if not self.usable:
            return score_unique_rows(make_frame(), self._score)
        rows, inverse = np.unique(self._pack(codes), return_inverse=True)
        frame = self._unpack(rows)
        index = np.searchsorted(self._rows, rows)
        cached = np.append(self._rows, -1)[index] == rows
        scores = np.append(self._scores, np.nan)[index]
        if not cached.all():
            scores[~cached] = self._score(frame[~cached])
        return UniqueRows(frame, inverse, scores)

    def _bits(self) -> list[int]:
        return [max(len(numbers) - 1, 0).bit_length() for numbers in self._values.values()]

    def _pack(self, codes: Codes) -> Integers:
        """Combine the codes of each row into one number."""
        rows = np.zeros(len(codes), dtype=np.int64)
        for position, bits in enumerate(self._bits()):
            rows = (rows << bits) | codes[:, position]
        return rows

    def _unpack(self, rows: Integers) -> pd.DataFrame:
        """Restore the feature rows from their numbers."""
        columns = {}
        features = zip(self._values.items(), self._bits(), strict=True)
        for (name, numbers), bits in reversed(list(features)):
            values = pd.Series([*numbers], dtype=self._empty[name].dtype)
            columns[name] = values.take(rows & ((1 << bits) - 1)).array
            rows = rows >> bits
        return pd.DataFrame(columns, columns=self._empty.columns)
