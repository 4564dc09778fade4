import threading
import time
from pathlib import Path

import pytest

from slarisk.errors import InputError
from slarisk.learning.context import list_context_names
from slarisk.tracking.tags import DATA_TAG, POLICY_TAG, SPLIT_TAG
from slarisk.training import prepare as module
from slarisk.training.prepare import prepare, prepare_once, validate_feature_moments


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
    times, prepare = [], module.prepare_tickets

    def count(*policies):
        times.append(policies)
        return prepare(*policies)

    monkeypatch.setattr(module, "prepare_tickets", count)
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
    counting = module.prepare_tickets

    def prepare_slowly(*policies):
        time.sleep(0.2)  # the others are at the door by now
        return counting(*policies)

    monkeypatch.setattr(module, "prepare_tickets", prepare_slowly)
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
    with pytest.raises(InputError, match=r"tickets\.csv"):
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


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["features.load=[{by: [all, status]}]"], "status"),
        (["features.rates=[{by: [priority+status]}]"], "status"),
        (["features.past=[{of: [nobody]}]"], "nobody"),
        (["features.load=[{by: [all]}]", "+data.columns.open_all=Open"], "open_all"),
        (["features.load=[{by: [all], counts: [lost]}]"], "features.load"),
        (["features.load=[{by: [all]}, {by: [all]}]"], "open_all"),
    ],
)
def test_context_of_what_is_not_known_at_creation_is_refused(composed, overrides, named):
    with pytest.raises(InputError, match=named):
        validate_feature_moments(composed(*overrides))


def test_context_at_imputed_creation_times_is_refused(composed):
    with pytest.raises(InputError, match="imputed"):
        validate_feature_moments(composed("data=kaggle", "features=context"))


def test_context_needs_the_end_of_tickets(composed):
    overrides = ["features=context", "~data.columns.resolved_at", "data.known.resolved=[]"]
    overrides += ["data.label.kind=column", "+data.columns.late=Late", "data.label.column=late"]
    with pytest.raises(InputError, match="resolved_at"):
        validate_feature_moments(composed(*overrides))


def test_context_does_not_change_what_a_run_rests_on(composed, write_tickets, tmp_path):
    """The same tickets, the same test and the same labels: such runs can be compared."""
    path = write_tickets(tmp_path / "tickets.csv", tickets=200)
    base = [f"data.path={path}", "data.truth=null", "model=lr"]
    plain, busy = (prepare(composed(*base, f"features={name}")) for name in ("calendar", "context"))
    assert [plain.tags[tag] for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG)] == [
        busy.tags[tag] for tag in (DATA_TAG, SPLIT_TAG, POLICY_TAG)
    ]
    assert plain.history is None
    assert not set(list_context_names(composed("features=context").features)) & {
        *plain.tickets.frame
    }
