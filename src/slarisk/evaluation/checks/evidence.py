"""What the checks look at: the tickets of both parts, what was learned, and how it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import CreationKind, Moment
from slarisk.learning.features import comparable_names, feature_fields, make_features
from slarisk.tickets.contract import date_fields, moment_known

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from slarisk.config import TrainConfig
    from slarisk.learning.crossfit import Learned
    from slarisk.learning.splits import HeldOut
    from slarisk.tickets.labels import LabelledTickets

_IN_SAMPLE = 1000  # training tickets that the final model scores again


@dataclass(frozen=True, eq=False)
class Evidence:
    """A run as the checks see it.

    Parameters
    ----------
    config : TrainConfig
    tickets : LabelledTickets
        All of the export.
    held_out : HeldOut
        Which of them train and which test.
    training, test : DataFrame
        The typed tickets of both parts.
    learned : Learned
        The model, and the out-of-fold scores of the training tickets.
    threshold : float
        What the packed model decides by, where it decides by one threshold.
    probability : array of shape (test tickets,)
        Of breach, as the model says.
    metrics : mapping
        Of the run, on the test tickets.
    best_baseline : str
        The baseline that the value is measured against.
    """

    config: TrainConfig
    tickets: LabelledTickets
    held_out: HeldOut
    training: pd.DataFrame
    test: pd.DataFrame
    learned: Learned
    threshold: float
    probability: NDArray[np.float64]
    metrics: Mapping[str, float]
    best_baseline: str

    @cached_property
    def frame(self) -> pd.DataFrame:
        """What the model sees of the training tickets."""
        return make_features(self.training, self.config.features)

    @cached_property
    def test_frame(self) -> pd.DataFrame:
        """What the model sees of the test tickets."""
        return make_features(self.test, self.config.features)

    @cached_property
    def features(self) -> list[str]:
        """The columns of both frames but for free text, which has no values to compare."""
        return comparable_names(self.config.features)

    @property
    def fields(self) -> list[str]:
        """The ticket fields behind the features."""
        return feature_fields(self.config.features)

    @cached_property
    def breach(self) -> NDArray[np.bool_]:
        """What became of the training tickets."""
        breach: NDArray[np.bool_] = self.training["breach"].to_numpy(dtype=bool)
        return breach

    @cached_property
    def test_breach(self) -> NDArray[np.bool_]:
        """What became of the test tickets."""
        breach: NDArray[np.bool_] = self.test["breach"].to_numpy(dtype=bool)
        return breach

    @property
    def imputed(self) -> bool:
        """Whether creation times are imputed."""
        return self.config.data.creation.kind is CreationKind.imputed

    @property
    def late_dates(self) -> list[str]:
        """The date fields in which the end of a ticket may show."""
        return [
            name
            for name in date_fields(self.config.data)
            if name in self.training
            and moment_known(name, self.config.data) is not Moment.created
            and name not in ("created_at", "due_at")
        ]

    @cached_property
    def sampled(self) -> NDArray[np.int64]:
        """Positions of honestly scored training tickets, a random sample of them."""
        honest = np.flatnonzero(self.learned.honest)
        if len(honest) <= _IN_SAMPLE:
            return honest
        rng = np.random.default_rng(self.config.evaluation.seed)
        return np.sort(rng.choice(honest, _IN_SAMPLE, replace=False))

    @cached_property
    def in_sample(self) -> NDArray[np.float64]:
        """The final model's uncalibrated scores of the sampled tickets, which it was fitted on."""
        return self.learned.model.score(self.frame.iloc[self.sampled])
