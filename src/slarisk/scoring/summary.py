"""The summary of a scoring: counts and dollars that add up over the parts of an export."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from slarisk.learning.context import list_desk_names
from slarisk.model.bundle import PROBABILITY
from slarisk.scoring.states import OPEN, PAST_TARGET
from slarisk.stats.drift import MODERATE, band, population_stability_index
from slarisk.tickets.fields import NEVER, TWICE

if TYPE_CHECKING:
    import pyarrow as pa

    from slarisk.arrays import Counts
    from slarisk.model.bundle import Bundle, ScoredTickets
    from slarisk.model.profile import Bins


@dataclass
class ScoringSummary:
    """Counts of scored and rejected rows, expected losses, and binned features.

    ``left`` and ``acted`` are dollars: the expected loss if all tickets are left, and under the
    decisions. ``unseen`` counts, by feature, tickets with a category that training did not have;
    ``bins`` has the counts of each feature's bins, and ``times`` those of local times that occur
    twice, or not at all. For a model with context, ``short_history``
    counts tickets for whose loads and rates the history is too short, ``stale_history`` those
    created long after it ends, and ``notes`` say what the history is.

    ``as_of`` is the moment of scoring, and ``states`` counts the tickets by their state then; of
    those that were open, ``open_escalated`` counts the escalated, ``waiting`` those that are to be
    escalated later, and ``open_left`` and ``open_acted`` are dollars as ``left`` and ``acted``.
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
    bins: dict[str, Counts] = field(default_factory=dict)
    times: Counter[str] = field(default_factory=Counter)
    short_history: int = 0
    stale_history: int = 0
    notes: list[str] = field(default_factory=list)
    as_of: str = ""
    states: Counter[str] = field(default_factory=Counter)
    open_escalated: int = 0
    waiting: int = 0
    open_left: float = 0.0
    open_acted: float = 0.0

    def count_export(self, batch: pa.RecordBatch) -> None:
        """Add rows of the export."""
        self.scored += len(batch)
        for counter, name in (
            (self.origins, "Score_Origin"),
            (self.buckets, "Risk_Bucket"),
            (self.states, "State"),
        ):
            for pair in pc.value_counts(batch[name].drop_null()).to_pylist():
                counter[pair["values"]] += pair["counts"]
        self.still_open += batch["Is_SLA_Breach"].null_count
        escalate = batch["Escalate"].to_numpy(zero_copy_only=False)
        left = batch["Expected_Loss_If_Left"].to_numpy()
        escalated = batch["Expected_Loss_If_Escalated"].to_numpy()
        self.escalated += int(escalate.sum())
        self.left += float(left.sum())
        acted = np.where(escalate, escalated, left)
        self.acted += float(acted.sum())
        state = batch["State"].to_numpy(zero_copy_only=False)
        still_open = (state == OPEN) | (state == PAST_TARGET)
        self.open_escalated += int((escalate & still_open).sum())
        self.open_left += float(left[still_open].sum())
        self.open_acted += float(acted[still_open].sum())
        planned = len(batch) - batch["Escalate_At"].null_count
        self.waiting += planned - int((escalate & (state == OPEN)).sum()) if planned else 0

    def count_features(self, bundle: Bundle, scored: ScoredTickets) -> None:
        """Add the binned features of some tickets, and their unseen categories."""
        rows = scored.features.rows
        weights = np.bincount(scored.features.inverse, minlength=len(rows))
        for name, categories in bundle.known_categories().items():
            codes, values = pd.factorize(rows[name])
            unseen = ~np.isin(np.asarray(values, dtype=object), categories)[codes]
            if count := int(weights[unseen].sum()):
                self.unseen[name] += count
        for key in (TWICE, NEVER):
            if key in scored.tickets and (decided := int(scored.tickets[key].sum())):
                self.times[key] += decided
        for name, bins in bundle.manifest.profile.items():
            if name == PROBABILITY:
                counts = bins.count(pd.Series(scored.probability))
            else:
                counts = bins.count(rows[name], weights)
            self.bins[name] = self.bins.get(name, 0) + counts
        if of_desk := list_desk_names(bundle.manifest.features):
            self.short_history += int(weights[rows[of_desk].isna().any(axis="columns")].sum())

    def add(self, other: ScoringSummary) -> None:
        """Add the counts of other rows."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, dict):
                mine |= {name: mine.get(name, 0) + counts for name, counts in theirs.items()}
            else:
                setattr(self, each.name, mine + theirs)

    def to_json(self) -> str:
        """Write the summary, for :meth:`from_json` on another machine."""
        bins = {name: counts.tolist() for name, counts in self.bins.items()}
        return json.dumps(vars(self) | {"bins": bins})

    @classmethod
    def from_json(cls, text: str) -> ScoringSummary:
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        for name in ("rejected", "origins", "buckets", "unseen", "times", "states"):
            values[name] = Counter(values[name])
        values["bins"] = {name: np.array(counts) for name, counts in values["bins"].items()}
        return cls(**values)

    def measure_drift(self, profile: Mapping[str, Bins]) -> pd.DataFrame:
        """Measure how far these tickets are from those the model was trained on.

        Returns
        -------
        DataFrame
            ``feature``, ``psi`` (population stability index) and ``band``, the largest first, for
            each feature and the breach probability. Empty if the model has no profile, or nothing
            was scored.
        """
        indices = {
            name: population_stability_index(bins.counts, self.bins[name])
            for name, bins in profile.items()
            if name in self.bins and self.bins[name].sum() and sum(bins.counts)
        }
        table = pd.DataFrame({"feature": list(indices), "psi": list(indices.values())})
        table["band"] = [band(index) for index in table["psi"]]
        return table.sort_values("psi", ascending=False, ignore_index=True)


def format_drift(drift: pd.DataFrame) -> str:
    """List the features that drifted at least moderately; empty if there are none."""
    moved = drift[drift["psi"] >= MODERATE]
    return ", ".join(f"{row.feature} {row.psi:.2f} ({row.band})" for row in moved.itertuples())


def rank_counts(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Sort counts, the largest first, equal ones by name."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
