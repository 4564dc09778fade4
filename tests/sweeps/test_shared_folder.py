import os
import pickle
import stat
import threading
import time
from pathlib import Path

import pytest

from slarisk.atomic_files import write_whole
from slarisk.errors import InputError
from slarisk.sweeps import shared_folder as sharing
from slarisk.sweeps.shared_folder import JobOutcome, OutcomeWatcher, shared_folder, write_outcome
from slarisk.tracking.workers import current_worker
from slarisk.training.prepare import prepare_once


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Prepared tickets -------------------------------------------------------------------------------


@pytest.fixture
def job_of(here, composed, write_tickets):
    """The config of a job of a sweep that shares a folder."""
    write_tickets(here / "tickets.csv")
    (here / "shared").mkdir()

    def compose(*overrides):
        config = composed("data.path=tickets.csv", "data.truth=null", "model=lr", *overrides)
        config.sweep.folder = str(here / "shared")
        return config

    return compose


@pytest.fixture
def prepared(monkeypatch):
    """The policies that tickets were prepared for, each time."""
    times, prepare = [], sharing.prepare_tickets

    def count(*policies):
        times.append(policies)
        return prepare(*policies)

    monkeypatch.setattr(sharing, "prepare_tickets", count)
    return times


def test_a_sweep_prepares_its_tickets_once(job_of, prepared):
    first = prepare_once(job_of("model=lr"))
    second = prepare_once(job_of("model=rf", "features=calendar", "split.folds=3"))
    assert len(prepared) == 1
    assert second.frame.equals(first.frame)
    assert second.frame.dtypes.equals(first.frame.dtypes)
    assert (second.rows_in, second.dropped) == (first.rows_in, first.dropped)
    assert second.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    "other",
    ["data.segments=[channel]", "sla.targets.Critical=5", "cost.escalation_cost=21"],
)
def test_other_policies_are_prepared_by_themselves(job_of, prepared, other):
    first = prepare_once(job_of())
    second = prepare_once(job_of(other))
    assert len(prepared) == 2
    assert prepare_once(job_of()).frame.equals(first.frame)
    assert prepare_once(job_of(other)).frame.equals(second.frame)
    assert len(prepared) == 2


def test_jobs_that_start_together_prepare_once(job_of, prepared, monkeypatch):
    counting = sharing.prepare_tickets

    def prepare_slowly(*policies):
        time.sleep(0.2)  # the others are at the door by now
        return counting(*policies)

    monkeypatch.setattr(sharing, "prepare_tickets", prepare_slowly)
    config, found = job_of(), []
    threads = [
        threading.Thread(target=lambda: found.append(prepare_once(config))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(prepared), len(found)) == (1, 4)


def test_a_single_run_shares_nothing(job_of, prepared, here):
    config = job_of()
    config.sweep.folder = None
    for _ in range(2):
        prepare_once(config)
    assert len(prepared) == 2
    assert list((here / "shared").iterdir()) == []


def tickets_in(folder):
    return [path for path in folder.iterdir() if path.suffix != ".lock"]


def test_a_job_that_fails_while_preparing_leaves_nothing(job_of, here, prepared):
    (here / "tickets.csv").rename(here / "elsewhere.csv")
    with pytest.raises(InputError, match="no such file"):
        prepare_once(job_of())
    assert tickets_in(here / "shared") == []
    (here / "elsewhere.csv").rename(here / "tickets.csv")
    assert len(prepare_once(job_of()).frame) == 600  # the next is not put off either
    assert len(prepared) == 2


def test_a_job_that_is_killed_while_writing_leaves_nothing_to_be_read(
    job_of, prepared, monkeypatch
):
    write = Path.write_bytes

    def die(path, content):
        write(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", die)
        with pytest.raises(KeyboardInterrupt):
            prepare_once(job_of())
    assert len(prepare_once(job_of()).frame) == 600
    assert len(prepared) == 2


def test_a_file_is_replaced_whole(here):
    path = here / "file.tickets"
    for content in (b"old", pickle.dumps("new")):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(here.iterdir()) == [path]


# Outcomes ---------------------------------------------------------------------------------------


@pytest.fixture
def tell(job_of, here):
    """A job tells how it ended; the next does so a second later."""
    ticks = iter(range(1_700_000_000, 1_800_000_000))

    def tell_one(job, words="done", status="finished", run_id="run"):
        config = job_of()
        config.sweep.job = str(job)
        write_outcome(config, JobOutcome(status, run_id, words))
        now = next(ticks)
        os.utime(here / "shared" / f"{job}.outcome", (now, now))

    return tell_one


def test_every_outcome_is_handed_on_once_and_in_order(tell, here, monkeypatch):
    monkeypatch.setattr(sharing, "_POLL", 0.01)
    said = []
    with OutcomeWatcher(here / "shared", said.append) as watch:
        for job in (9, 10, 2):
            tell(job, f"job {job}")
        watch.catch_up()
        assert {outcome.words for outcome in said} == {"job 9", "job 10", "job 2"}
        deadline = time.monotonic() + 5
        tell(1, "job 1", "failed", None)
        while len(said) < 4:  # by the watch's own thread
            assert time.monotonic() < deadline
            time.sleep(0.01)
        watch.catch_up()
        time.sleep(0.05)
    assert len(said) == 4
    assert said[-1] == JobOutcome("failed", None, "job 1")
    assert watch.outcomes.keys() == {"9", "10", "2", "1"}


def test_outcomes_are_told_in_the_order_in_which_jobs_ended(tell, here):
    said = []
    for job in (3, 11, 1, 2):
        tell(job, str(job))
    OutcomeWatcher(here / "shared", said.append).catch_up()
    assert [outcome.words for outcome in said] == ["3", "11", "1", "2"]


def test_what_ends_last_is_not_missed(tell, here, monkeypatch):
    monkeypatch.setattr(sharing, "_POLL", 60)
    said = []
    start = time.monotonic()
    with OutcomeWatcher(here / "shared", said.append):
        tell(0)
    assert [outcome.words for outcome in said] == ["done"]
    assert time.monotonic() - start < 30  # nor waited for


def test_an_outcome_that_is_being_written_is_left_alone(here, tell):
    (here / "shared" / "0.123").write_bytes(b'{"status": "fin')
    said = []
    watch = OutcomeWatcher(here / "shared", said.append)
    watch.catch_up()
    assert said == []
    tell(0)
    watch.catch_up()
    assert [outcome.status for outcome in said] == ["finished"]


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
