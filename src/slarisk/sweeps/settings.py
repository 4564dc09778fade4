"""The settings of a search: the keys of ``hydra/sweeper=search``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from slarisk.config import MISSING, Count, Positive, Share
from slarisk.constraints import OneOf


@dataclass
class SearchSettings:
    """How an Optuna search runs; ``conf/search`` has the settings of each model."""

    sampler: Any = MISSING  # of the group hydra/sweeper/sampler; its seed is the search's
    direction: Annotated[str, OneOf("minimize")] = MISSING  # the objective is a loss
    storage: str = MISSING  # address of the database that keeps the study
    study_name: str | None = None  # by default the model and a fingerprint of config and data
    n_trials: Positive = MISSING  # of the study in all, over all workers and restarts
    n_jobs: Positive = 1  # trials that are launched together
    max_failure_rate: Share = 0.2  # the search stops if more of its trials have failed
    seeds: Count = 5  # fits each of the winner and of the default parameters, to compare them
    params: dict[str, str] = field(default_factory=dict)  # the space, in Hydra's grammar, by key
