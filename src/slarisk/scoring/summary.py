"""The summary of a scoring: counts and dollars that add up over the parts of an export."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from slarisk.model.bundle import PROBABILITY
from slarisk.stats.drift import band, population_stability_index

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from slarisk.model.bundle import ScoredTickets
    from slarisk.model.profile import Bins


@dataclass
class ScoringSummary:
    """What was scored and rejected, what it is worth, and how the tickets looked.

    ``left`` and ``acted`` are dollars: what is expected to be lost if all tickets are left, and
    under the decisions. ``unseen`` counts, by feature, tickets with a category that training did
    not have; ``looks`` how often each bin of each feature was met.
    """

    rows_in: int = 0
    scored: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    buckets: Counter[str] = field(default_factory=Counter)
    still_open: int = 0
    escalated: int = 0
    left: float = 0.0
    acted: float = 0.0
    unseen: Counter[str] = field(default_factory=Counter)
    looks: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def count_export(self, batch: pa.RecordBatch) -> None:
        """Add rows of the export."""
        self.scored += len(batch)
        for counter, name in ((self.origins, "Score_Origin"), (self.buckets, "Risk_Bucket")):
            for pair in pc.value_counts(batch[name]).to_pylist():
                counter[pair["values"]] += pair["counts"]
        self.still_open += batch["Is_SLA_Breach"].null_count
        escalate = batch["Escalate"].to_numpy(zero_copy_only=False)
        left = batch["Expected_Loss_If_Left"].to_numpy()
        escalated = batch["Expected_Loss_If_Escalated"].to_numpy()
        self.escalated += int(escalate.sum())
        self.left += float(left.sum())
        self.acted += float(np.where(escalate, escalated, left).sum())

    def count_looks(
        self,
        profile: Mapping[str, Bins],
        known: Mapping[str, NDArray[np.object_]],
        judged: ScoredTickets,
    ) -> None:
        """Add what the model looked at; ``known`` are the categories that training had."""
        weights = np.bincount(judged.place, minlength=len(judged.distinct))
        for name, categories in known.items():
            codes, values = pd.factorize(judged.distinct[name])
            unseen = ~np.isin(np.asarray(values, dtype=object), categories)[codes]
            if met := int(weights[unseen].sum()):
                self.unseen[name] += met
        for name, bins in profile.items():
            if name == PROBABILITY:
                counts = bins.count(pd.Series(judged.probability))
            else:
                counts = bins.count(judged.distinct[name], weights)
            self.looks[name] = self.looks.get(name, 0) + counts

    def add(self, other: ScoringSummary) -> None:
        """Add what was counted elsewhere."""
        self.rows_in += other.rows_in
        self.scored += other.scored
        self.still_open += other.still_open
        self.escalated += other.escalated
        self.left += other.left
        self.acted += other.acted
        for mine, theirs in (
            (self.rejected, other.rejected),
            (self.origins, other.origins),
            (self.buckets, other.buckets),
            (self.unseen, other.unseen),
        ):
            mine.update(theirs)
        for name, counts in other.looks.items():
            self.looks[name] = self.looks.get(name, 0) + counts

    def write(self) -> str:
        """Write it, for :meth:`read` on another machine."""
        looks = {name: counts.tolist() for name, counts in self.looks.items()}
        return json.dumps(vars(self) | {"looks": looks})

    @classmethod
    def read(cls, written: str) -> ScoringSummary:
        """Read what was counted elsewhere."""
        told = json.loads(written)
        for name in ("rejected", "origins", "buckets", "unseen"):
            told[name] = Counter(told[name])
        told["looks"] = {name: np.array(counts) for name, counts in told["looks"].items()}
        return cls(**told)

    def measure_drift(self, profile: Mapping[str, Bins]) -> pd.DataFrame:
        """Say how far these tickets are from those the model was trained on.

        Returns
        -------
        DataFrame
            ``feature``, ``psi`` (population stability index) and ``band``, the farthest first; the
            probability of breach is among them. Empty if the model has no memory of its tickets'
            looks, or nothing was scored.
        """
        indices = {
            name: population_stability_index(bins.counts, self.looks[name])
            for name, bins in profile.items()
            if name in self.looks and self.looks[name].sum() and sum(bins.counts)
        }
        table = pd.DataFrame({"feature": list(indices), "psi": list(indices.values())})
        table["band"] = [band(index) for index in table["psi"]]
        return table.sort_values("psi", ascending=False, ignore_index=True)


def rank_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Put counts in an order that is the same whatever was counted first: by number, then name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
