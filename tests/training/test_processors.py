import os

import joblib
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from slarisk.training import processors
from slarisk.training import run as job
from slarisk.training.processors import count_parallel, share_processors


@pytest.mark.parametrize(
    ("jobs", "share"), [(1, 8), (2, 4), (3, 2), (8, 1), (9, 1)], ids="{}".format
)
def test_jobs_divide_the_processors(monkeypatch, jobs, share):
    monkeypatch.setattr(processors, "cpu_count", lambda: 8)
    with share_processors(jobs) as found:
        assert found == share


def test_a_job_starts_no_more_threads_than_its_share(monkeypatch):
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    processors = joblib.cpu_count()
    with threadpool_limits(4):
        before = [pool["num_threads"] for pool in threadpool_info()]
        assert max(before) > 1
        with share_processors(processors):
            assert joblib.effective_n_jobs(-1) == 1
            assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        assert [pool["num_threads"] for pool in threadpool_info()] == before
    assert joblib.effective_n_jobs(-1) == processors


def test_a_limit_of_the_user_is_not_raised(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(processors, "cpu_count", lambda: 8)
    with threadpool_limits(1), share_processors(2):
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert os.environ["LOKY_MAX_CPU_COUNT"] == "1"


@pytest.mark.parametrize(
    ("launcher", "jobs", "count"),
    [({}, 5, 1), ({"n_jobs": 2}, 5, 2), ({"n_jobs": 4}, 3, 3), ({"n_jobs": 1}, 3, 1)],
)
def test_as_many_jobs_run_at_a_time_as_are_launched(launcher, jobs, count):
    assert count_parallel(launcher, jobs) == count


def test_all_processors_means_as_many_jobs(monkeypatch):
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert count_parallel({"n_jobs": -1}, 5) == 1


def test_a_job_of_a_sweep_is_fitted_with_its_share(place, train_on, write_tickets, monkeypatch):
    write_tickets(place / "tickets.csv", tickets=200)
    fit, seen = job.fit_and_evaluate, []

    def note_share(*arguments):
        seen.append(joblib.effective_n_jobs(-1))
        return fit(*arguments)

    monkeypatch.setattr(job, "fit_and_evaluate", note_share)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", str(os.cpu_count()))
    (place / "shared").mkdir()
    jobs = os.cpu_count()
    sweep = ["sweep.parent=0", "sweep.folder=shared", "sweep.job=1"]
    train_on(*sweep, f"sweep.at_once={jobs}")
    assert seen == [1]
