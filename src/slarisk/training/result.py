"""The result of a training run, and how two results are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from slarisk.checks.check import Check
from slarisk.decisions.policies import find_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from slarisk.config import TrainConfig
    from slarisk.decisions.thresholds import ThresholdCurve
    from slarisk.evaluation.evaluate import EvaluationResult
    from slarisk.model.bundle import Bundle
    from slarisk.tickets.prepare import LabelledTickets
    from slarisk.training.open_tickets import FollowedTickets

SECONDS = "training_seconds"


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Everything that a training run logs.

    ``left_out`` counts labelled tickets of neither part, by reason; ``notes`` are those of the
    split; ``probability`` has shape (test tickets,). ``followed`` is there for a model of
    open tickets.
    """

    config: TrainConfig
    tickets: LabelledTickets
    left_out: dict[str, int]
    notes: tuple[str, ...]
    training: pd.DataFrame
    test: pd.DataFrame
    bundle: Bundle
    probability: NDArray[np.float64]
    metrics: dict[str, float]
    evaluation: EvaluationResult
    curve: ThresholdCurve
    checks: list[Check]
    followed: FollowedTickets | None = None

    @property
    def optimistic(self) -> bool:
        """Whether the threshold was chosen on the test tickets."""
        return find_policy(self.config.decision).optimistic

    @property
    def all_metrics(self) -> dict[str, float]:
        """The metrics, and the counts of tickets without a label by reason."""
        dropped = self.tickets.dropped.items()
        return self.metrics | {f"dropped_{reason}": float(count) for reason, count in dropped}


def differing_metrics(old: Mapping[str, float], new: Mapping[str, float]) -> list[str]:
    """Name the metrics in which two fits differ in any digit, the training time aside."""
    names = dict.fromkeys([*new, *old])
    return [name for name in names if name != SECONDS and not _same(old.get(name), new.get(name))]


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or (math.isnan(one) and math.isnan(other))
