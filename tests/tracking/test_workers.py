import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import slarisk
from slarisk.tracking.workers import FOLDER, current_worker, is_local_worker, worker_died

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(slarisk.__file__).parents[1])}

# names itself, then lives until it is told to end
CHILD = """
from slarisk.tracking.workers import current_worker
print(current_worker(), flush=True)
input()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def child(here):
    """Starts a worker of a folder: this one if none is named."""
    started = []

    def start(folder=here):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_this_process_is_alive_to_itself_and_keeps_its_name(here):
    name = current_worker()
    assert current_worker() == name
    assert is_local_worker(name)
    assert not worker_died(name)
    assert not worker_died(name)  # asking does not end it
    assert [path.stem for path in (here / FOLDER).glob("*-*.lock")] == [name]


def test_a_process_has_a_name_in_each_folder(here, monkeypatch):
    first = current_worker()
    (here / "deeper").mkdir()
    monkeypatch.chdir(here / "deeper")
    assert current_worker() != first
    assert not worker_died(first)  # that of another folder


def test_a_process_that_was_killed_is_known_to_have_died(child):
    process, name = child()
    assert not worker_died(name)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (FOLDER / f"{name}.lock").exists()  # it could not tidy up
    assert worker_died(name)
    assert not (FOLDER / f"{name}.lock").exists()
    assert worker_died(name)  # also without its lock file


def test_the_living_know_each_other(child):
    (_, first), (process, second) = child(), child()
    assert len({first, second, current_worker()}) == 3
    process.kill()
    process.wait()
    assert [worker_died(name) for name in (first, second, current_worker())] == [False, True, False]


def test_a_process_that_ends_normally_leaves_no_lock(child):
    process, name = child()
    lock = FOLDER / f"{name}.lock"
    assert lock.exists()
    process.communicate("\n")
    assert process.returncode == 0
    assert not lock.exists()
    assert worker_died(name)


def test_nothing_is_known_of_a_worker_of_another_folder(here, child):
    (here / "elsewhere").mkdir()
    process, name = child(here / "elsewhere")
    process.kill()
    process.wait()
    assert not worker_died(name)  # nobody has worked here yet
    current_worker()
    assert not is_local_worker(name)
    assert not worker_died(name)


@pytest.mark.parametrize("name", ["", "123456abcdef-123456abcdef", "../../etc/passwd"])
def test_nothing_is_known_of_a_worker_of_another_machine(here, name):
    current_worker()
    assert not is_local_worker(name)
    assert not worker_died(name)


FORK = """
import os
from slarisk.tracking.workers import worker_died, current_worker
name = current_worker()
process = os.fork()
if process == 0:
    print(current_worker() != name, flush=True)
    raise SystemExit  # runs what is to be done at exit
os.waitpid(process, 0)
print(worker_died(name))
"""


def test_a_fork_is_another_worker_and_does_not_end_its_parent(here):
    told = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert told.stdout.split() == ["True", "False"]
