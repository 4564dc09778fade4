"""A study's folder, and the training config of each of its runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir

from lab.recipe import DRAW, PART, RECIPE, StudyJob
from slarisk.config import TrainConfig
from slarisk.datasets.sample import BUNDLED, Desk, write_sample
from slarisk.errors import InputError
from slarisk.sweeps.hydra_sweep import type_job_config

if TYPE_CHECKING:
    from collections.abc import Sequence

# `sample=12000x7` in a recipe: a new bundled-style sample of 12,000 tickets, drawn with seed 7;
# `sample=12000x7-late` the same of another desk.
_FRESH_SAMPLE = re.compile(r"sample=(\d+)x(\d+)(?:-(\w+))?")
_DESKS = {
    None: BUNDLED,
    "late": Desk(stretch=5, slow_share=0.05),
    "swing": Desk(swing=0.6),
    "outage": Desk(stretch=5, slow_share=0.05, outage=("2024-09-09", "2024-09-23")),
}
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
    for name in sorted(each for each in overrides if _FRESH_SAMPLE.fullmatch(each)):
        folder = _SAMPLES / name.removeprefix("sample=")
        if not folder.is_dir():
            tickets, seed, desk = _read_sample(name)
            partial = folder.with_name(f"{folder.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            write_sample(partial, tickets, seed, desk)
            partial.replace(folder)


def _read_sample(override: str) -> tuple[int, int, Desk]:
    match = _FRESH_SAMPLE.fullmatch(override)
    assert match is not None
    tickets, seed, desk = match.groups()
    if desk not in _DESKS:
        known = ", ".join(name for name in _DESKS if name)
        raise InputError(f"{override}: there is no such desk; there are {known}.")
    return int(tickets), int(seed), _DESKS[desk]


def expand_override(override: str) -> list[str]:
    """Replace ``sample=<tickets>x<seed>[-<desk>]`` by the overrides that name its files.

    Examples
    --------
    >>> expand_override("model=lr"), expand_override("sample=500x1")[0]
    (['model=lr'], 'data.path=outputs/samples/500x1/sample_tickets.csv')
    """
    if not _FRESH_SAMPLE.fullmatch(override):
        return [override]
    folder = (_SAMPLES / override.removeprefix("sample=")).as_posix()
    return [f"data.path={folder}/sample_tickets.csv", f"data.truth={folder}/sample_truth.csv"]


def compose_job(study: Study, job: StudyJob) -> TrainConfig:
    """Compose the training config of a job, as ``train.py`` would.

    Configs in the folder ``conf`` of the study can be chosen besides those of the repository.
    """
    overrides = [each for override in job.overrides for each in expand_override(override)]
    own = study.folder.absolute() / "conf"
    search_path = [f"hydra.searchpath=[file://{own}]"] if own.is_dir() else []
    with initialize_config_dir(str(study.conf.absolute()), job_name="train"):
        config = compose("train", [*overrides, *search_path], return_hydra_config=True)
    typed = type_job_config(config)
    # logged as parameters of the MLflow run, by which its runs can be compared
    typed.choices |= {f"study.{axis}": label for axis, label in job.labels.items()}
    typed.overrides, typed.skip_finished = overrides, True
    typed.tracking = replace(typed.tracking, experiment=f"study-{study.name}")
    return typed


def list_missing_reasons(study: Study, jobs: Sequence[StudyJob]) -> list[str | None]:
    """List for each job why it cannot run (no ticket file, no package of its model), or None.

    Jobs that differ in the draw alone need the same files and packages, so only the first of them
    is composed.
    """
    by_choice: dict[tuple[str, ...], str | None] = {}
    reasons = []
    for job in jobs:
        choice = tuple(label for axis, label in job.labels.items() if axis != DRAW)
        if choice not in by_choice:
            by_choice[choice] = _find_missing_reason(
                compose_job(study, job), job.labels[PART], choice
            )
        reasons.append(by_choice[choice])
    return reasons


def _find_missing_reason(config: TrainConfig, part: str, choice: Sequence[str]) -> str | None:
    if not glob(config.data.path, recursive=True):
        skipped, missing = part, f"file {config.data.path}"
    elif package := missing_package(config):
        skipped, missing = " ".join(choice), f"package {package}"
    else:
        return None
    return f"{skipped} is not run, its results stay as they are: no {missing}"


def missing_package(config: TrainConfig) -> str | None:
    """Return the package of the model's class if it is not installed."""
    package = str(config.model.get("_target_", "sklearn")).partition(".")[0]
    return package if find_spec(package) is None else None
