"""``python experiments/run.py``: a study's runs, and the results they come to."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from joblib import Parallel, delayed
from omegaconf import open_dict

from slarisk.config import SweepJob, TrainConfig
from slarisk.jobs.answers import join_results, keep_results, tabulate_runs, write_answers
from slarisk.jobs.command import register_schemas, take_choices, type_config
from slarisk.jobs.recipe import DRAW, PART, RECIPE, StudyJob, list_jobs, read_recipe
from slarisk.jobs.sweepers import end_sweep, parent_run

if TYPE_CHECKING:
    from collections.abc import Sequence

# `sample=12000x7` in a recipe: tickets and seed of a fresh draw of the sample's process
_FRESH = re.compile(r"sample=(\d+)x(\d+)")
_DRAWN = Path("outputs/samples")
_SHARED = Path("outputs/sweeps")


@dataclass(frozen=True)
class Study:
    """A study's folder, and the folder of configs that its runs are composed from."""

    folder: Path
    conf: Path

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name


def list_studies(experiments: Path) -> list[str]:
    """Name the studies that a folder holds."""
    return sorted(path.parent.name for path in experiments.glob(f"*/{RECIPE}"))


def run_study(study: Study, workers: int) -> bool:
    """Run what a study asks for, and write its results, tables and figures.

    Runs that finished before, with the same config, tickets and code, are taken over. The results
    of a part whose tickets are not there, or of a model whose package is not, are left as they are.

    Returns
    -------
    bool
        Whether everything could be run.
    """
    recipe = read_recipe(study.folder)
    register_schemas()
    jobs = list_jobs(recipe)
    draw_samples(jobs)
    missing = find_missing(study, jobs)
    for lack in dict.fromkeys(missing.values()):
        print(f"{study.name}: {lack}")
    able = [job for job in jobs if _choice(job) not in missing]
    if able:
        results = tabulate_runs(able, run_jobs(study, able, workers))
        kept = keep_results(study.folder, [job for job in jobs if _choice(job) in missing])
        write_answers(study.folder, recipe, join_results(jobs, [results, kept]))
    return not missing


def draw_samples(jobs: Sequence[StudyJob]) -> None:
    """Draw the fresh samples that jobs ask for and that are not there yet."""
    from slarisk.tickets.sample import write_sample

    asked = {found.groups() for job in jobs for each in job.overrides if (found := _fresh(each))}
    for tickets, seed in sorted(asked):
        folder = _DRAWN / f"{tickets}x{seed}"
        if not folder.is_dir():
            partial = folder.with_name(f"{folder.name}.partial")
            partial.mkdir(parents=True, exist_ok=True)
            write_sample(partial, int(tickets), int(seed))
            partial.replace(folder)


def _fresh(override: str) -> re.Match[str] | None:
    return _FRESH.fullmatch(override)


def expand(override: str) -> list[str]:
    """Write the overrides that a recipe's override stands for.

    Examples
    --------
    >>> expand("model=lr"), expand("sample=500x1")[0]
    (['model=lr'], 'data.path=outputs/samples/500x1/sample_tickets.csv')
    """
    if not (found := _fresh(override)):
        return [override]
    folder = (_DRAWN / "x".join(found.groups())).as_posix()
    return [f"data.path={folder}/sample_tickets.csv", f"data.truth={folder}/sample_truth.csv"]


def compose_job(study: Study, job: StudyJob) -> TrainConfig:
    """Compose the config of a job, as ``train.py`` would.

    A study may bring configs of its own, in its folder ``conf``.
    """
    said = [each for override in job.overrides for each in expand(override)]
    own = study.folder.absolute() / "conf"
    search = [f"hydra.searchpath=[file://{own}]"] if own.is_dir() else []
    with initialize_config_dir(str(study.conf.absolute()), job_name="train"):
        config = compose("train", [*said, *search], return_hydra_config=True)
    choices = take_choices(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    typed = type_config(config)
    assert isinstance(typed, TrainConfig)
    labels = {f"study.{axis}": label for axis, label in job.labels.items()}
    typed.choices = choices | labels  # MLflow's columns, by which runs compare
    typed.overrides, typed.skip_finished = said, True
    typed.tracking = replace(typed.tracking, experiment=f"study-{study.name}")
    return typed


def find_missing(study: Study, jobs: Sequence[StudyJob]) -> dict[tuple[str, ...], str]:
    """Find the choices (labels but the draw) that cannot be run, and say what they lack.

    It is the file of the tickets, or the package of the model.
    """
    first = {_choice(job): job for job in reversed(jobs)}
    missing = {}
    for choice, job in first.items():
        config = compose_job(study, job)
        if not glob(config.data.path, recursive=True):
            who, lack = job.labels[PART], f"file {config.data.path}"
        elif package := missing_package(config):
            who, lack = " ".join(choice), f"package {package}"
        else:
            continue
        missing[choice] = f"{who} is not run, its results stay as they are: no {lack}"
    return missing


def missing_package(config: TrainConfig) -> str | None:
    """Name the package of the model's class, if it is not installed."""
    package = str(config.model.get("_target_", "sklearn")).partition(".")[0]
    return package if find_spec(package) is None else None


def _choice(job: StudyJob) -> tuple[str, ...]:
    return tuple(label for axis, label in job.labels.items() if axis != DRAW)


def run_jobs(study: Study, jobs: Sequence[StudyJob], workers: int) -> list[dict[str, float]]:
    """Run jobs in parallel, under one parent run.

    Returns
    -------
    list of dict
        The metrics of each job.

    Raises
    ------
    InputError
        A job failed; those that finished are not run again the next time.
    """
    from slarisk.tracking.registry import find_run
    from slarisk.tracking.store import open_store
    from slarisk.tracking.sweeps import end_orphans, start_parent

    experiment = open_store(compose_job(study, jobs[0]).tracking)
    end_orphans(experiment)
    command = {"command": f"python experiments/run.py {study.name}"}
    parent = start_parent(experiment, study.name, "study", command)
    with parent_run(_SHARED / study.name, experiment, parent, len(jobs)) as sweep:
        ended = Parallel(n_jobs=workers, batch_size=1)(
            delayed(run_one)(study, job, sweep.parent, sweep.folder, str(place))
            for place, job in enumerate(jobs)
        )
    end_sweep(parent, [error for error in ended if error is not None], len(jobs), "jobs")
    runs = [sweep.watch.outcomes[str(place)].run_id for place in range(len(jobs))]
    return [find_run(run).metrics for run in runs if run is not None]


def run_one(study: Study, job: StudyJob, parent: str, folder: Path, place: str) -> Exception | None:
    """Run one job, in a worker; give the error if it fails, so that the others go on."""
    from slarisk.jobs.train import train_job

    register_schemas()
    try:
        config = compose_job(study, job)
        config.sweep = SweepJob(parent=parent, folder=str(folder), job=place)
        train_job(config)
    except Exception as error:
        return error
    return None
