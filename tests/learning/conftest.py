import pytest

from slarisk.datasets.sample import generate_tickets
from slarisk.tickets.prepare import prepare_tickets

# What it takes to add a model: these five lines, and nothing else.
HIST = """\
_target_: sklearn.ensemble.HistGradientBoostingClassifier
max_iter: 20
learning_rate: 0.1
early_stopping: false
random_state: 42
"""


@pytest.fixture(scope="session")
def compose(composed, tmp_path_factory):
    """Composes a training config on 1,000 made-up tickets, with models small enough for a test."""
    export = tmp_path_factory.mktemp("data") / "tickets.csv"
    generate_tickets(1_000, seed=5).tickets.to_csv(export, index=False)
    configs = tmp_path_factory.mktemp("configs")
    (configs / "model").mkdir()
    (configs / "model" / "hist.yaml").write_text(HIST)
    small = {
        "rf": ["model.n_estimators=20"],
        "gbm": ["model.n_estimators=20", "model.min_child_samples=10", "model.n_jobs=1"],
    }

    def compose_train(*overrides, model="lr"):
        everything = [f"data.path={export}", f"model={model}", *small.get(model, []), *overrides]
        return composed(*everything, search=configs)

    return compose_train


@pytest.fixture(scope="session")
def labelled(compose):
    config = compose()
    return prepare_tickets(config.data, config.sla, config.cost)


@pytest.fixture(scope="session")
def tickets(labelled):
    return labelled.frame
