import pytest

from slarisk.jobs.command import build_estimator
from slarisk.jobs.train import fit_and_judge
from slarisk.learning.splits import hold_out
from slarisk.tickets.labels import prepare_tickets


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
            "evaluation.importance_repeats=1",
            *overrides,
        )
        config.choices = {"data": "sample", "model": "lr"}
        tickets = prepare_tickets(config.data, config.sla, config.cost)
        held_out = hold_out(tickets.frame, config.split)
        return fit_and_judge(config, build_estimator(config.model), tickets, held_out, None)

    return judge


@pytest.fixture(scope="session")
def judged(judge_tickets):
    return judge_tickets()
