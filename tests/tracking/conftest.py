import shutil

import pytest

from slarisk.config import Tracking
from slarisk.tracking.relocation import follow_move
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.items import model_items, result_items
from slarisk.training.prepare import prepare
from slarisk.training.run import find_importance


@pytest.fixture(scope="session")
def judge_tickets(composed, write_tickets, tmp_path_factory):
    """Trains and judges a small model, and tells MLflow nothing."""
    export = write_tickets(tmp_path_factory.mktemp("export") / "tickets.csv")

    def judge(*overrides):
        config = composed(
            f"data.path={export}",
            "data.truth=null",
            "model=lr",
            "evaluation.bootstrap_draws=50",
            "evaluation.threshold_draws=5",
            "evaluation.importance_repeats=1",
            *overrides,
        )
        config.choices = {"data": "sample", "model": "lr"}
        return fit_and_evaluate(config, prepare(config))

    return judge


@pytest.fixture(scope="session")
def report():
    """All that a single run says of what it found."""
    return lambda trained: [
        *result_items(trained),
        *model_items(trained, find_importance(trained)),
    ]


@pytest.fixture(scope="session")
def judged(judge_tickets):
    return judge_tickets()


@pytest.fixture(scope="session")
def logged_store(judged, report, migrated_store, tmp_path_factory, at_store):
    """A store with one run, its config and its model: logging one takes a second, a copy none."""
    from slarisk.tracking.log import log_items
    from slarisk.tracking.source import Source
    from slarisk.tracking.store import open_store, tracked_run
    from slarisk.training.items import start_items

    folder = tmp_path_factory.mktemp("logged")
    shutil.copy(migrated_store, folder / "mlflow.db")
    with at_store(folder / "mlflow.db"):
        open_store(Tracking(name="local"))
        with tracked_run("run", {}) as run_id:
            log_items(start_items(judged.config, Source("abc", "")))
            log_items(report(judged))
    return folder, run_id


@pytest.fixture
def logged_run(logged_store, place):
    """A run with a model, in a store of its own."""
    folder, run_id = logged_store
    shutil.copytree(folder, place, dirs_exist_ok=True)
    follow_move(place / "mlflow.db")
    return run_id
