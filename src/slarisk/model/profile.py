"""Binned distribution of each feature in training, for measuring drift."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from slarisk.arrays import Counts

_BINS = 10  # of a number: tenths of the training tickets
_CATEGORIES = 50  # of a feature, the most frequent first; the rest share a bin


@dataclass(frozen=True)
class Bins:
    """The bins of one feature, and the counts of the training tickets in them.

    A feature of ``categories`` has a bin for each and one for all other values. A number has a bin
    up to each of its ``edges`` (included), one for what lies above, and one for missing values.
    """

    categories: list[str] = field(default_factory=list)
    edges: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def count(self, values: pd.Series, weights: Counts | None = None) -> Counts:
        """Count values by bin, shape (bins,); ``weights`` are the multiplicities of the values."""
        if self.categories:
            codes, names = pd.factorize(values, use_na_sentinel=False)
            known = pd.Index(self.categories).get_indexer(pd.Index(names))
            place = np.where(known < 0, len(self.categories), known)[codes]
            bins = len(self.categories) + 1
        else:
            numbers = values.to_numpy(dtype=float)
            place = np.searchsorted(self.edges, numbers, side="left")
            place = np.where(np.isnan(numbers), len(self.edges) + 1, place)
            bins = len(self.edges) + 2
        counted: Counts = np.bincount(place, weights, bins).astype(np.int64)
        return counted


def bin_values(values: pd.Series) -> Bins:
    """Choose the bins of a feature from the training tickets, and count these."""
    if isinstance(values.dtype, pd.StringDtype):
        frequent = values.value_counts().index[:_CATEGORIES]
        bins = Bins(categories=sorted(str(value) for value in frequent))
    else:
        numbers = values.dropna().to_numpy(dtype=float)
        shares = np.arange(1, _BINS) / _BINS
        edges = np.quantile(numbers, shares, method="lower") if len(numbers) else np.empty(0)
        bins = Bins(edges=np.unique(edges).tolist())
    return Bins(bins.categories, bins.edges, bins.count(values).tolist())
