"""Hydra's sweeper plugins: ``-m`` as a grid or as a search."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from slarisk.config import MISSING, Count, Positive, Share
from slarisk.constraints import OneOf, check_config
from slarisk.errors import InputError
from slarisk.sweeps.grid import finish_grid, list_new_choices, name_sweep
from slarisk.sweeps.parent import (
    collect_errors,
    end_sweep,
    launch_jobs,
    open_tracking,
    parent_run,
    tag_command,
)


@dataclass
class GridConfig(BasicSweeperConf):
    """``hydra/sweeper=basic``: Hydra's own keys."""

    _target_: str = "slarisk.sweeps.plugins.GridSweeper"


class GridSweeper(BasicSweeper):
    """Every combination of the choices."""

    def sweep(self, arguments: list[str]) -> None:
        """Run the jobs; one that fails does not stop the others."""
        from slarisk.sweeps.runs import start_parent

        assert self.config is not None
        assert self.hydra_context is not None
        assert self.launcher is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        for override in parsed:
            if override.key_or_group == "search":
                raise InputError(f"{override.input_line}: choose one search a command.")
        batches = self.split_arguments(parsed, self.max_batch_size)
        self.validate_batch_is_legal(list_new_choices([job for batch in batches for job in batch]))
        total = sum(len(batch) for batch in batches)
        experiment = open_tracking(self.config)
        parent = start_parent(experiment, name_sweep(arguments), "grid", tag_command(self.config))
        errors: list[Exception] = []
        folder = Path(str(self.config.hydra.sweep.dir))
        with parent_run(folder, experiment, parent, total) as sweep:
            done = 0
            for batch in batches:
                jobs = [
                    [*job, *sweep.place_overrides(str(number))]
                    for number, job in enumerate(batch, done)
                ]
                errors += collect_errors(launch_jobs(self, jobs, done))
                done += len(jobs)
            finish_grid(sweep)
        end_sweep(parent, errors, total, "jobs")


@dataclass
class SearchConfig:
    """``hydra/sweeper=search``: the keys of :class:`SearchSweeper`."""

    _target_: str = "slarisk.sweeps.plugins.SearchSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: Any = MISSING
    direction: Annotated[str, OneOf("minimize")] = MISSING  # the objective is a loss
    storage: str = MISSING
    study_name: str | None = None
    n_trials: Positive = MISSING
    n_jobs: Positive = 1
    max_failure_rate: Share = 0.2
    seeds: Count = 5
    params: dict[str, str] = field(default_factory=dict)


class SearchSweeper(Sweeper):
    """An Optuna search over the parameters of a model, told in ``conf/search``.

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
        How many trials the study has in all, whoever runs them, however often it is interrupted.
    n_jobs : int
        Trials that are launched together.
    max_failure_rate : float
        The share of the trials that may fail before the search gives up.
    seeds : int
        Fits of the winner, and of the default parameters, that are compared at the end.
    params : mapping
        The search space, in Hydra's grammar, by config key.
    """

    def __init__(
        self,
        sampler: DictConfig,
        direction: str,
        storage: str,
        study_name: str | None,
        n_trials: int,
        n_jobs: int,
        max_failure_rate: float,
        seeds: int,
        params: DictConfig,
    ) -> None:
        self.sampler, self.direction, self.storage = sampler, direction, storage
        self.study_name, self.n_trials, self.n_jobs = study_name, n_trials, n_jobs
        self.max_failure_rate, self.seeds, self.params = max_failure_rate, seeds, params
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Take what Hydra hands over.

        Raises
        ------
        InputError
            A value of the search's own config is none.
        """
        check_config(OmegaConf.to_object(config.hydra.sweeper), "hydra.sweeper.")
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run what is left of the study, and draw its conclusions once it is whole."""
        from slarisk.sweeps.search import run_search

        assert self.config is not None
        assert self.launcher is not None
        run_search(self, self.config, arguments)
