"""A study's folder, and the training config of each of its runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from lab.recipe import DRAW, PART, RECIPE, StudyJob
from slarisk.config import TrainConfig
from slarisk.datasets.sample import write_sample
from slarisk.typed_config import take_choices, type_config

if TYPE_CHECKING:
    from collections.abc import Sequence

# `sample=12000x7` in a recipe: a new bundled-style sample of 12,000 tickets, drawn with seed 7
_FRESH_SAMPLE = re.compile(r"sample=(\d+)x(\d+)")
_SAMPLES = Path("outputs/samples")


@dataclass(frozen=True)
class Study:
    """The folder of a study, and the folder of the repository's configs."""

    folder: Path
    conf: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name


def list_studies(experiments: Path) -> list[str]:
    """List the names of the studies in a folder."""
    return sorted(path.parent.name for path in experiments.glob(f"*/{RECIPE}"))


def draw_samples(jobs: Sequence[StudyJob]) -> None:
    """Generate the samples that the overrides of jobs name and that do not exist yet."""
    overrides = [each for job in jobs for each in job.overrides]
    asked = {found.groups() for each in overrides if (found := _FRESH_SAMPLE.fullmatch(each))}
    for tickets, seed in sorted(asked):
        folder = _SAMPLES / f"{tickets}x{seed}"
        if not folder.is_dir():
            partial = folder.with_name(f"{folder.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            write_sample(partial, int(tickets), int(seed))
            partial.replace(folder)


def expand_override(override: str) -> list[str]:
    """Replace ``sample=<tickets>x<seed>`` by the overrides that name its files.

    Examples
    --------
    >>> expand_override("model=lr"), expand_override("sample=500x1")[0]
    (['model=lr'], 'data.path=outputs/samples/500x1/sample_tickets.csv')
    """
    if not (found := _FRESH_SAMPLE.fullmatch(override)):
        return [override]
    folder = (_SAMPLES / "x".join(found.groups())).as_posix()
    return [f"data.path={folder}/sample_tickets.csv", f"data.truth={folder}/sample_truth.csv"]


def compose_job(study: Study, job: StudyJob) -> TrainConfig:
    """Compose the training config of a job, as ``train.py`` would.

    Configs in the folder ``conf`` of the study can be chosen besides those of the repository.
    """
    overrides = [each for override in job.overrides for each in expand_override(override)]
    own = study.folder.absolute() / "conf"
    search = [f"hydra.searchpath=[file://{own}]"] if own.is_dir() else []
    with initialize_config_dir(str(study.conf.absolute()), job_name="train"):
        config = compose("train", [*overrides, *search], return_hydra_config=True)
    choices = take_choices(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    typed = type_config(config)
    assert isinstance(typed, TrainConfig)
    labels = {f"study.{axis}": label for axis, label in job.labels.items()}
    typed.choices = choices | labels  # parameters of the MLflow run, by which runs are compared
    typed.overrides, typed.skip_finished = overrides, True
    typed.tracking = replace(typed.tracking, experiment=f"study-{study.name}")
    return typed


def find_missing(study: Study, jobs: Sequence[StudyJob]) -> list[str | None]:
    """Say, for each job, what keeps it from running: its ticket file or its model's package.

    None if nothing does. Jobs that differ in the draw alone need the same files and packages, so
    only the first of them is composed.
    """
    reasons: dict[tuple[str, ...], str | None] = {}
    missing = []
    for job in jobs:
        choice = tuple(label for axis, label in job.labels.items() if axis != DRAW)
        if choice not in reasons:
            reasons[choice] = _explain_missing(compose_job(study, job), job.labels[PART], choice)
        missing.append(reasons[choice])
    return missing


def _explain_missing(config: TrainConfig, part: str, choice: Sequence[str]) -> str | None:
    if not glob(config.data.path, recursive=True):
        what, lack = part, f"file {config.data.path}"
    elif package := missing_package(config):
        what, lack = " ".join(choice), f"package {package}"
    else:
        return None
    return f"{what} is not run, its results stay as they are: no {lack}"


def missing_package(config: TrainConfig) -> str | None:
    """Return the package of the model's class if it is not installed."""
    package = str(config.model.get("_target_", "sklearn")).partition(".")[0]
    return package if find_spec(package) is None else None
