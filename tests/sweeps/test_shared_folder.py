import os
import stat
import time
from pathlib import Path

import pytest

from slarisk.config import SweepJob
from slarisk.sweeps import shared_folder as module
from slarisk.sweeps.shared_folder import JobOutcome, OutcomeWatcher, shared_folder, write_outcome
from slarisk.tracking.workers import current_worker


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Outcomes ---------------------------------------------------------------------------------------


@pytest.fixture
def write(here, composed):
    """Writes the outcome of a job; the next one is a second newer."""
    (here / "shared").mkdir()
    ticks = iter(range(1_700_000_000, 1_800_000_000))

    def write_one(job, summary="done", status="finished", run_id="run"):
        config = composed("model=lr")
        config.sweep = SweepJob(folder=str(here / "shared"), job=str(job))
        write_outcome(config, JobOutcome(status, run_id, summary))
        now = next(ticks)
        os.utime(here / "shared" / f"{job}.outcome", (now, now))

    return write_one


def test_every_outcome_is_handed_on_once_and_in_order(write, here, monkeypatch):
    monkeypatch.setattr(module, "_POLL", 0.01)
    reported = []
    with OutcomeWatcher(here / "shared", reported.append) as watcher:
        for job in (9, 10, 2):
            write(job, f"job {job}")
        watcher.read_new()
        assert {outcome.summary for outcome in reported} == {"job 9", "job 10", "job 2"}
        deadline = time.monotonic() + 5
        write(1, "job 1", "failed", None)
        while len(reported) < 4:  # by the watch's own thread
            assert time.monotonic() < deadline
            time.sleep(0.01)
        watcher.read_new()
        time.sleep(0.05)
    assert len(reported) == 4
    assert reported[-1] == JobOutcome("failed", None, "job 1")
    assert watcher.outcomes.keys() == {"9", "10", "2", "1"}


def test_outcomes_are_told_in_the_order_in_which_jobs_ended(write, here):
    reported = []
    for job in (3, 11, 1, 2):
        write(job, str(job))
    OutcomeWatcher(here / "shared", reported.append).read_new()
    assert [outcome.summary for outcome in reported] == ["3", "11", "1", "2"]


def test_what_ends_last_is_not_missed(write, here, monkeypatch):
    monkeypatch.setattr(module, "_POLL", 60)
    reported = []
    start = time.monotonic()
    with OutcomeWatcher(here / "shared", reported.append):
        write(0)
    assert [outcome.summary for outcome in reported] == ["done"]
    assert time.monotonic() - start < 30  # nor waited for


def test_an_outcome_that_is_being_written_is_left_alone(here, write):
    (here / "shared" / "0.123").write_bytes(b'{"status": "fin')
    reported = []
    watcher = OutcomeWatcher(here / "shared", reported.append)
    watcher.read_new()
    assert reported == []
    write(0)
    watcher.read_new()
    assert [outcome.status for outcome in reported] == ["finished"]


# The folder -------------------------------------------------------------------------------------


def test_the_folder_is_private_and_goes_with_the_command(here):
    sweep = Path("multirun") / "now"
    with shared_folder(sweep) as folder:
        assert folder.is_absolute()
        assert folder.parent == here / sweep
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "0.tickets").write_text("who they are")
    assert not folder.exists()
    assert not sweep.exists()


def test_what_else_is_in_the_sweeps_folder_stays(here):
    sweep = Path("multirun") / "now"
    with shared_folder(sweep):
        (sweep / "results.txt").write_text("of the user")
    assert [path.name for path in sweep.iterdir()] == ["results.txt"]


def test_the_folder_goes_also_when_the_command_fails(here):
    with pytest.raises(KeyboardInterrupt), shared_folder(Path("multirun") / "now"):
        raise KeyboardInterrupt
    assert not (here / "multirun" / "now").exists()


def test_folders_of_killed_commands_go_and_those_of_others_stay(here):
    place = current_worker().rpartition("-")[0]
    names = {
        "killed": f"sharing-{place}-gone",
        "living": f"sharing-{current_worker()}",
        "elsewhere": "sharing-123456abcdef-123456abcdef",
        "unrelated": "something",
    }
    for sweep, name in names.items():
        (here / "multirun" / sweep / name).mkdir(parents=True)
        (here / "multirun" / sweep / name / "0.tickets").write_text("who they are")
    with shared_folder(Path("multirun") / "now"):
        left = {path.name for path in (here / "multirun").iterdir()}
    assert left == {"living", "elsewhere", "unrelated", "now"}
    assert (here / "multirun" / "living" / names["living"] / "0.tickets").exists()
