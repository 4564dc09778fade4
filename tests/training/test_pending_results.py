import stat

import pytest
from mlflow import MlflowClient

from slarisk.errors import InputError, StoreError
from slarisk.training import pending_results as module
from slarisk.training import run as job
from slarisk.training.pending_results import (
    FOLDER,
    PendingResult,
    keep_pending_result,
    load_pending_result,
)

HERE = ["data.path=tickets.csv", "data.truth=null", "model=lr", "evaluation.importance_repeats=0"]
HERE += ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=5"]
RESULT = PendingResult("all that was found out", "r1")


def list_kept():
    return list(FOLDER.glob("*"))


@pytest.mark.parametrize("error", [StoreError("no answer."), KeyboardInterrupt()])
def test_a_result_is_kept_until_it_could_be_logged(place, error):
    with pytest.raises(type(error)), keep_pending_result("job", RESULT):
        raise error
    kept = load_pending_result("job")
    assert (kept.result, kept.run_id) == (RESULT.result, RESULT.run_id)
    assert load_pending_result("another job") is None
    assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
    with keep_pending_result("job", kept):
        assert len(list_kept()) == 1
    assert load_pending_result("job") is None
    assert list_kept() == []


@pytest.mark.parametrize("error", [ZeroDivisionError(), InputError("no such type")])
def test_what_no_second_try_could_log_is_not_kept(place, error):
    with pytest.raises(type(error)), keep_pending_result("job", RESULT):
        raise error
    assert list_kept() == []


def test_where_it_is_kept_is_told(place):
    with pytest.raises(StoreError) as told, keep_pending_result("job", RESULT):
        raise StoreError("The store is out of reach: no answer.")
    (kept,) = list_kept()
    assert str(told.value).startswith("The store is out of reach: no answer. The fit is not lost")
    assert str(kept) in str(told.value)


def test_other_versions_of_the_libraries_do_not_find_it(place, monkeypatch):
    with pytest.raises(StoreError), keep_pending_result("job", RESULT):
        raise StoreError("no answer.")
    monkeypatch.setattr(module, "write_versions", lambda: "others")
    assert load_pending_result("job") is None


@pytest.fixture
def train(place, write_tickets, run):
    write_tickets(place / "tickets.csv")
    return lambda *overrides: run("train", *HERE, *overrides)


def lose(*_):
    raise StoreError("The store is out of reach.")


@pytest.mark.slow
def test_the_same_command_logs_what_was_kept_without_fitting(train, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "result_items", lose)
        ended = train()
    assert ended.code == 2
    assert "The fit is not lost" in ended.err
    (cut_off,) = MlflowClient().search_runs(["1"])
    assert cut_off.data.metrics == {}
    with monkeypatch.context() as patch:
        patch.delattr(job, "fit_and_evaluate")
        ended = train()
        assert ended.code == 0
        assert ended.out.startswith("fitted before, when the store was out of reach")
    (run,) = MlflowClient().search_runs(["1"])
    assert (run.info.run_id, run.info.status) == (cut_off.info.run_id, "FINISHED")
    assert "failure" not in run.data.tags
    assert run.outputs.model_outputs
    assert list_kept() == []


@pytest.mark.slow
def test_another_job_is_fitted(train, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(job, "result_items", lose)
        train()
    ended = train("model.C=2.0")
    assert (ended.code, "fitted before" in ended.out) == (0, False)
    assert len(list_kept()) == 1


@pytest.mark.slow
def test_if_the_run_is_gone_a_new_one_takes_it(train, monkeypatch, place):
    with monkeypatch.context() as patch:
        patch.setattr(job, "result_items", lose)
        train()
    (cut_off,) = MlflowClient().search_runs(["1"])
    monkeypatch.setattr(job, "has_run", lambda run_id: run_id != cut_off.info.run_id)
    assert train().code == 0
    assert sorted(run.info.status for run in MlflowClient().search_runs(["1"])) == [
        "FAILED",
        "FINISHED",
    ]
