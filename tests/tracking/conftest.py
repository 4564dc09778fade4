import pytest

from slarisk.jobs.train import find_importance, fit_and_judge, prepare
from slarisk.tracking.report import report_model, report_result


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
        return fit_and_judge(config, prepare(config))

    return judge


@pytest.fixture(scope="session")
def report():
    """All that a single run says of what it found."""
    return lambda trained: [
        *report_result(trained),
        *report_model(trained, find_importance(trained)),
    ]


@pytest.fixture(scope="session")
def judged(judge_tickets):
    return judge_tickets()
