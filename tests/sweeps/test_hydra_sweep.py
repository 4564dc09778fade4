import shlex
from types import SimpleNamespace

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from slarisk.errors import InputError
from slarisk.sweeps.hydra_sweep import HydraSweep


def make_sweep(results=(), launcher=None, task=(), hydra=()):
    """A sweep whose launcher returns these results, and the calls that the launcher got."""
    calls = []

    def launch(jobs, initial_job_idx):
        calls.append((initial_job_idx, jobs))
        return results

    keys = {"launcher": launcher or {}, "overrides": {"task": list(task), "hydra": list(hydra)}}
    config = OmegaConf.create({"hydra": keys | {"sweep": {"dir": "outputs/here"}}})
    return HydraSweep(config, SimpleNamespace(launch=launch), None), calls


def test_each_job_gives_its_objective_or_its_error(capsys):
    error = InputError("no column")
    sweep, calls = make_sweep(
        [
            JobReturn(status=JobStatus.COMPLETED, _return_value=1.5),
            JobReturn(status=JobStatus.FAILED, _return_value=error),
        ],
        launcher={"n_jobs": 4},
    )
    assert sweep.launch([["model=lr"], ["model=rf"]], 3) == [1.5, error]
    assert calls == [(3, [["model=lr", "sweep.at_once=2"], ["model=rf", "sweep.at_once=2"]])]
    assert capsys.readouterr().err == ""


def test_the_command_of_a_sweep_is_a_tag():
    task, hydra = ["model=lr,rf", "sla.costs={Critical: 700}"], ["hydra/launcher=joblib"]
    sweep, _ = make_sweep(task=task, hydra=["hydra.mode=MULTIRUN", *hydra])
    command = shlex.split(sweep.tags["command"])
    assert command == ["python", "train.py", "-m", *task, *hydra]
    long, _ = make_sweep(task=[f"model.C={'1,' * 9000}2"])
    assert len(long.tags["command"]) == 8000  # MLflow's longest tag
