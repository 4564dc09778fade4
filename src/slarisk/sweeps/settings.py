"""The settings of a search: the keys of ``hydra/sweeper=search``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from slarisk.config import MISSING, Count, Positive, Share
from slarisk.constraints import OneOf


@dataclass
class SearchSettings:
    """How an Optuna search runs; see ``conf/search`` for each model's.

    Parameters
    ----------
    sampler : mapping
        An Optuna sampler, of the group ``hydra/sweeper/sampler``; its ``seed`` is the search's.
    direction : str
        ``minimize``: the objective is a loss.
    storage : str
        Address of the database that keeps the study.
    study_name : str or None
        None names it after the model and a fingerprint of all that the objective depends on.
    n_trials : int
        Trials of the study in all, over all workers and restarts.
    n_jobs : int
        Trials that are launched together.
    max_failure_rate : float
        The search stops when more than this share of the trials has failed.
    seeds : int
        Fits of the winner, and of the default parameters, that are compared at the end.
    params : mapping
        The search space, in Hydra's grammar, by config key.
    """

    sampler: Any = MISSING
    direction: Annotated[str, OneOf("minimize")] = MISSING
    storage: str = MISSING
    study_name: str | None = None
    n_trials: Positive = MISSING
    n_jobs: Positive = 1
    max_failure_rate: Share = 0.2
    seeds: Count = 5
    params: dict[str, str] = field(default_factory=dict)
