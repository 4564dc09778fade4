"""The lab notebook: every study composes, and its page says what its results say."""

from pathlib import Path

import pytest

from lab.recipe import DRAW, PART, plan_jobs, read_recipe
from lab.report import README, fill_readme, format_tables
from lab.results import RESULTS, read_results
from lab.study import Study, compose_job, list_studies, missing_package
from slarisk.command_line import register_schemas
from slarisk.decisions.policies import validate_decision
from slarisk.training.estimator import build_estimator
from slarisk.training.prepare import validate_feature_moments

ROOT = Path(__file__).resolve().parents[2]
STUDIES = list_studies(ROOT / "experiments")


@pytest.fixture(params=STUDIES)
def study(request):
    return Study(ROOT / "experiments" / request.param, ROOT / "conf")


def list_choices(job):
    """The labels that a job has of its part, and its overrides, which tell its draw."""
    labels = {(job.labels[PART], *label) for label in job.labels.items() if label[0] != DRAW}
    return labels | set(job.overrides)


def cover_choices(jobs):
    """Pick few jobs that have every choice together: to compose one takes half a second."""
    left = set.union(*map(list_choices, jobs))
    while left:
        best = max(jobs, key=lambda job: len(left & list_choices(job)))
        left -= list_choices(best)
        yield best


@pytest.mark.slow
def test_every_choice_of_a_study_composes(study):
    register_schemas()
    for job in cover_choices(plan_jobs(read_recipe(study.folder))):
        config = compose_job(study, job)
        if not missing_package(config):
            build_estimator(config.model)
        validate_feature_moments(config)
        validate_decision(config.decision, config.moment)
        assert config.tracking.experiment == f"study-{study.name}"


def test_the_page_shows_the_results(study):
    page = study.folder / README
    recipe = read_recipe(study.folder)
    tables = format_tables(read_results(study.folder), recipe)
    assert fill_readme(page, tables) == page.read_text("utf-8")
    for table in recipe.tables:
        assert table.figure is None or (study.folder / table.figure.file).exists()


def test_results_are_those_of_the_recipe(study):
    results = read_results(study.folder)
    wanted = [{k: v for k, v in job.labels.items()} for job in plan_jobs(read_recipe(study.folder))]
    labels = results[[name for name in results if name in {k for each in wanted for k in each}]]
    found = [{k: v for k, v in row.items() if v} for row in labels.to_dict("records")]
    assert (study.folder / RESULTS).exists()
    assert found == wanted


def test_the_index_names_every_study():
    index = (ROOT / "experiments" / "README.md").read_text("utf-8")
    assert [name for name in STUDIES if f"[{name}]({name}/README.md)" not in index] == []
