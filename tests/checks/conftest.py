import re
from dataclasses import dataclass, replace
from unittest.mock import patch

import pandas as pd
import pytest

from slarisk.checks.run import RULES
from slarisk.datasets.sample import generate_tickets
from slarisk.training import fit
from slarisk.training.prepare import prepare

QUICK = ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=20"]


@pytest.fixture(scope="session")
def gather(composed, tmp_path_factory):
    """Trains on a table, and gives the context of its checks.

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
        prepared = prepare(config)
        if estimator is not None:
            prepared = replace(prepared, estimator=estimator)
        with patch.object(fit, "run_checks", return_value=[]) as checks:
            fit.fit_and_evaluate(config, prepared)
        (context,) = checks.call_args.args
        return context

    return train_on


@dataclass(frozen=True, eq=False)
class FixedModel:
    """A model with a fixed probability for each ticket, by its index."""

    by_ticket: pd.Series

    def probability(self, tickets):
        return self.by_ticket.loc[tickets.index].to_numpy()


@pytest.fixture(scope="session")
def with_probability():
    """A context whose model gives the test tickets other probabilities."""

    def replace_model(context, probability):
        model = FixedModel(pd.Series(probability, context.test.index, dtype=float))
        return replace(context, learned=replace(context.learned, model=model))

    return replace_model


@pytest.fixture(scope="session")
def sample():
    return generate_tickets(3_000, seed=7).tickets.astype({"Ticket ID": "str"})


@pytest.fixture(scope="session")
def clean(gather, sample):
    """The context of a run without a mistake."""
    return gather(sample)


@pytest.fixture(scope="session")
def examine():
    """Runs the check with a code."""
    return lambda code, context: RULES[code].examine(context)


@pytest.fixture(scope="session")
def read_figures():
    """Reads the figures of a finding, in their order."""

    def read(finding):
        figures = re.findall(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?", finding.detail)
        return [float(each.replace(",", "")) for each in figures]

    return read
