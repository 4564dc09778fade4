"""What Hydra hands a sweeper: the composed config, a launcher of jobs and a config loader."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from slarisk.config import Tracking, TrainConfig
from slarisk.tracking.runs import end_orphans
from slarisk.tracking.store import open_store
from slarisk.training.processors import count_parallel
from slarisk.typed_config import take_choices, type_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.config_loader import ConfigLoader
    from hydra.core.utils import JobReturn
    from hydra.plugins.launcher import Launcher

_LONGEST_TAG = 8000  # characters, as MLflow has it


@dataclass(frozen=True)
class HydraSweep:
    """The composed config of a sweep, and Hydra's means to launch its jobs."""

    config: DictConfig
    launcher: Launcher
    loader: ConfigLoader

    @property
    def folder(self) -> Path:
        """The sweep's own folder below the working directory."""
        return Path(str(self.config.hydra.sweep.dir))

    @property
    def tags(self) -> dict[str, str]:
        """The tag with the command that runs the sweep again."""
        overrides = self.config.hydra.overrides
        own = [each for each in overrides.hydra if not each.startswith("hydra.mode=")]
        command = shlex.join(["python", "train.py", "-m", *overrides.task, *own])
        return {"command": command[:_LONGEST_TAG]}

    def open_tracking(self) -> str:
        """Open the store before any worker does, and end the runs of commands that were killed.

        Returns
        -------
        str
            The experiment's id.
        """
        tracking = OmegaConf.to_object(self.config.tracking)
        assert isinstance(tracking, Tracking)
        experiment = open_store(tracking)
        end_orphans(experiment)
        return experiment

    def compose(self, overrides: Sequence[str]) -> TrainConfig:
        """Compose the config of a job, as a launcher would."""
        return type_job_config(self.loader.load_sweep_config(self.config, list(overrides)))

    def launch(self, jobs: Sequence[list[str]], first: int) -> list[float | Exception]:
        """Launch jobs, given by their overrides, as number ``first`` and following.

        Returns
        -------
        list of float or Exception
            The objective of each job, or why it failed.
        """
        at_once = count_parallel(self.config.hydra.launcher, len(jobs))
        placed = [[*job, f"sweep.at_once={at_once}"] for job in jobs]
        results = self.launcher.launch(placed, initial_job_idx=first)
        return [_take_result(result) for result in results]


def _take_result(result: JobReturn) -> float | Exception:
    try:
        with redirect_stderr(io.StringIO()):  # Hydra writes the overrides there
            return float(result.return_value)
    except Exception as error:
        return error


def type_job_config(composed: DictConfig) -> TrainConfig:
    """Turn a training config that was composed with Hydra's own keys into its dataclass."""
    choices = take_choices(composed.hydra.runtime.choices)
    with read_write(composed), open_dict(composed):
        del composed["hydra"]
    config = type_config(composed)
    assert isinstance(config, TrainConfig)
    config.choices = choices
    return config
