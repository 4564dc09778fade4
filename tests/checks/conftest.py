from dataclasses import dataclass, replace
from unittest.mock import patch

import pandas as pd
import pytest

from slarisk.checks.run import RULES
from slarisk.datasets.sample import generate_tickets
from slarisk.training import run as job

QUICK = ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=20"]


@pytest.fixture(scope="session")
def gather(composed, tmp_path_factory):
    """Trains on a table, and gives what the checks then look at.

    ``spoil`` may change the table and the config, and give an estimator to train.
    """
    folder = tmp_path_factory.mktemp("checks")

    def train_on(table, *overrides, model="lr", spoil=None, data="sample"):
        config = composed(
            f"data={data}",
            f"data.path={folder / 'tickets.csv'}",
            *(["data.truth=null"] if data == "sample" else []),
            f"model={model}",
            *QUICK,
            *overrides,
        )
        estimator = None
        if table is None:  # the export is there already
            spoil(config)
        else:
            if spoil:
                table, estimator = spoil(table.copy(), config)
            table.to_csv(config.data.path, index=False)
        prepared = job.prepare(config)
        if estimator is not None:
            prepared = replace(prepared, estimator=estimator)
        with patch.object(job, "run_checks", return_value=[]) as checks:
            job.fit_and_evaluate(config, prepared)
        (evidence,) = checks.call_args.args
        return evidence

    return train_on


@dataclass(frozen=True, eq=False)
class Saying:
    """Gives the tickets that it is asked about, by their index, set probabilities."""

    by_ticket: pd.Series

    def probability(self, tickets):
        return self.by_ticket.loc[tickets.index].to_numpy()


@pytest.fixture(scope="session")
def saying():
    """CheckContext with a model that says something else of the test tickets."""

    def replace_model(evidence, probability):
        model = Saying(pd.Series(probability, evidence.test.index, dtype=float))
        return replace(evidence, learned=replace(evidence.learned, model=model))

    return replace_model


@pytest.fixture(scope="session")
def sample():
    return generate_tickets(3_000, seed=7).tickets.astype({"Ticket ID": "str"})


@pytest.fixture(scope="session")
def clean(gather, sample):
    """The evidence of a run with nothing wrong."""
    return gather(sample)


@pytest.fixture(scope="session")
def examine():
    """Puts evidence to the check with a code."""
    return lambda code, evidence: RULES[code].examine(evidence)
