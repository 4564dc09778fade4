from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from slarisk.datasets.sample import generate_tickets
from slarisk.learning.crossfit import cross_fit
from slarisk.learning.models import make_fit_params
from slarisk.learning.splits import hold_out, make_folds
from slarisk.tickets.prepare import prepare_tickets, read_tickets
from slarisk.training.estimator import build_estimator
from slarisk.training.pack import pack

# What it takes to add a model: these five lines, and nothing else.
HIST = """\
_target_: sklearn.ensemble.HistGradientBoostingClassifier
max_iter: 20
learning_rate: 0.1
early_stopping: false
random_state: 42
"""
# An outsider's estimator around another, as a study has it.
CSBOOST = Path(__file__).resolve().parents[2] / "experiments/models-and-features/conf/model"
SMALL = {
    "rf": ["model.n_estimators=20"],
    "gbm": ["model.n_estimators=20", "model.min_child_samples=10", "model.n_jobs=1"],
    "catboost": ["model.n_estimators=20"],
    "csboost": ["model.estimator.n_estimators=20"],
}


@pytest.fixture(scope="session")
def export_file(tmp_path_factory):
    """1,000 made-up tickets; every ninth also has prices of its own, every fifth is still open."""
    path = tmp_path_factory.mktemp("data") / "tickets.csv"
    tickets = generate_tickets(1_000, seed=5).tickets
    tickets["Lost"] = pd.Series(range(len(tickets))).mod(9).mul(40).astype("str")
    tickets["Effort"] = pd.Series(range(len(tickets))).mod(7).add(1).astype("str")
    tickets.loc[tickets.index % 5 == 4, ["Time to Resolution"]] = None
    tickets.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def raw(export_file):
    """The export as its file has it: text under its own column names."""
    return pd.read_csv(export_file, dtype="str", keep_default_na=False, na_values=[""])


@pytest.fixture(scope="session")
def train(composed, export_file, tmp_path_factory):
    """Trains a small model of the configs named, once per test run."""
    configs = tmp_path_factory.mktemp("configs")
    (configs / "model").mkdir()
    (configs / "model" / "hist.yaml").write_text(HIST)
    (configs / "model" / "csboost.yaml").write_text((CSBOOST / "csboost.yaml").read_text())
    done = {}

    def train_bundle(*overrides, model="lr"):
        key = (model, *overrides)
        if key not in done:
            small = SMALL.get(model, [])
            everything = [f"data.path={export_file}", f"model={model}", *small, *overrides]
            done[key] = _train(composed(*everything, search=configs))
        return done[key]

    return train_bundle


def _train(config):
    tickets = prepare_tickets(config.data, config.sla, config.cost)
    held_out = hold_out(tickets.frame, config.split)
    training = tickets.frame.iloc[held_out.train].reset_index(drop=True)
    folds = make_folds(training, config.split)
    estimator = build_estimator(config.model)
    fit_params = make_fit_params(estimator, tickets.costs.take(held_out.train), config.weight)
    learned = cross_fit(
        estimator, config.features, config.calibration.name, training, folds, fit_params
    )
    prepared = SimpleNamespace(tickets=tickets, held_out=held_out, history=None)
    bundle = pack(config, learned, 0.3, prepared, training)
    return SimpleNamespace(
        bundle=bundle,
        config=config,
        learned=learned,
        labelled=tickets,
        training=training,
        test=tickets.frame.iloc[held_out.test].reset_index(drop=True),
        tickets=read_tickets(config.data).frame,
    )


@pytest.fixture(scope="session")
def trained(train):
    return train()


@pytest.fixture(scope="session")
def imputed(train):
    """A policy as the notebook's: no creation time in the data, so it is drawn."""
    return train(
        "split=random",
        "data.creation.kind=imputed",
        "~data.columns.created_at",
        "data.known.created=[ticket_id,priority,channel,ticket_type,product,subject,customer_age,"
        "purchased_at,created_at]",
    )


@pytest.fixture(scope="session")
def priced(train):
    """A policy in which tickets carry their own costs."""
    return train(
        "+data.columns.lost=Lost",
        "+data.columns.effort=Effort",
        "data.costs.breach=lost",
        "data.costs.escalation=effort",
    )
