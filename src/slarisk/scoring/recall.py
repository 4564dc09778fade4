"""Scores that were given before: equal feature rows are scored once in all of an export."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from slarisk.learning.models import BreachModel

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_MOST_ROWS = 1 << 20  # that are remembered: 16 MB
_MOST_VALUES = 1 << 16  # of a feature; one that has more hardly ever brings equal rows
_BITS = 62


@dataclass
class _Layout:
    """The numbers of the values of each feature, and the bits that they take in a row's number."""

    values: dict[str, dict[Hashable, int]] = field(default_factory=dict)
    bits: dict[str, int] = field(default_factory=dict)
    version: int = 0


class Recall:
    """The distinct feature rows that a model has scored; any number of threads may ask.

    A row is known by a whole number, made of those of its values. Nothing is hashed to fewer bits,
    so no two rows are ever taken for each other.
    """

    def __init__(self, model: BreachModel) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._layout: _Layout | None = _Layout()
        self._rows: Integers = np.empty(0, dtype=np.int64)
        self._scores: Floats = np.empty(0)

    def score(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, Integers, Floats]:
        """Give the calibrated breach probabilities of the rows of a feature frame.

        Returns
        -------
        distinct : DataFrame
            Each row that occurs, once; similar ones together, which trees are quick with.
        place : int array of shape (n,)
            Which of them each row is.
        probability : array of shape (len(distinct),)
        """
        with self._lock:
            rows, version = self._number(frame)
        if rows is None:
            rows = _number_alone(frame)
        rows, first, place = np.unique(rows, return_index=True, return_inverse=True)
        distinct = frame.iloc[first]
        scores, known = self._look_up(rows, version)
        if not known.all():
            scores[~known] = self._model.calibrate(distinct[~known])
            self._remember(rows[~known], scores[~known], version)
        return distinct, place, scores

    def _number(self, frame: pd.DataFrame) -> tuple[Integers | None, int]:
        """Number rows so that equal ones have the same number in every frame, if that can be."""
        layout = self._layout
        if layout is None:
            return None, -1
        codes: dict[str, Integers] = {}
        for name in frame:
            here, values = pd.factorize(frame[name], use_na_sentinel=False)
            book = layout.values.setdefault(str(name), {})
            numbers = [
                book.setdefault(None if each != each else each, len(book)) for each in values
            ]
            codes[str(name)] = np.array(numbers, dtype=np.int64)[here]
        sizes = {name: len(book) for name, book in layout.values.items()}
        if any(size.bit_length() > layout.bits.get(name, -1) for name, size in sizes.items()):
            # with one bit more than it takes, so that this does not happen often
            layout.bits = {name: size.bit_length() + 1 for name, size in sizes.items()}
            layout.version += 1
            self._rows, self._scores = self._rows[:0], self._scores[:0]
        if sum(layout.bits.values()) > _BITS or max(sizes.values()) > _MOST_VALUES:
            self._layout = None
            return None, -1
        rows = np.zeros(len(frame), dtype=np.int64)
        for name, numbers_of in codes.items():
            rows = (rows << layout.bits[name]) | numbers_of
        return rows, layout.version

    def _look_up(self, rows: Integers, version: int) -> tuple[Floats, NDArray[np.bool_]]:
        scores = np.full(len(rows), np.nan)
        known = np.zeros(len(rows), dtype=np.bool_)
        with self._lock:
            if self._layout is not None and version == self._layout.version and len(self._rows):
                at = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
                known = self._rows[at] == rows
                scores[known] = self._scores[at[known]]
        return scores, known

    def _remember(self, rows: Integers, scores: Floats, version: int) -> None:
        with self._lock:
            if self._layout is None or version != self._layout.version:
                return  # numbered in a way that is no longer in use
            if len(self._rows) + len(rows) > _MOST_ROWS:
                return
            at = np.searchsorted(self._rows, rows)
            # another thread may have scored the same row meanwhile
            new = np.append(self._rows, -1)[at] != rows
            self._rows = np.insert(self._rows, at[new], rows[new])
            self._scores = np.insert(self._scores, at[new], scores[new])


def _number_alone(frame: pd.DataFrame) -> Integers:
    """Number the rows of one frame, whatever its features are."""
    rows, count = np.zeros(len(frame), dtype=np.int64), 1
    for name in frame:
        codes, values = pd.factorize(frame[name], use_na_sentinel=False)
        if count * len(values) >= 2**_BITS:
            found, rows = np.unique(rows, return_inverse=True)
            count = len(found)
        rows, count = rows * len(values) + codes, count * len(values)
    return rows
