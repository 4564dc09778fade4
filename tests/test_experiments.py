"""The lab notebook: every study composes, and its page says what its results say."""

from pathlib import Path

import pytest

from slarisk.decisions.policies import make_policy
from slarisk.jobs.answers import PAGE, RESULTS, fill_page, read_results, write_tables
from slarisk.jobs.command import build_estimator, register_schemas
from slarisk.jobs.lab import Study, compose_job, list_studies, missing_package
from slarisk.jobs.recipe import PART, list_jobs, read_recipe
from slarisk.jobs.train import refuse_late_features

ROOT = Path(__file__).resolve().parents[1]
STUDIES = list_studies(ROOT / "experiments")


@pytest.fixture(params=STUDIES)
def study(request):
    return Study(ROOT / "experiments" / request.param, ROOT / "conf")


def test_every_choice_of_a_study_composes(study):
    register_schemas()
    seen = set()
    for job in list_jobs(read_recipe(study.folder)):
        new = {(job.labels[PART], *label) for label in job.labels.items()} - seen
        if new:  # every label once: all their combinations would take minutes
            seen |= new
            config = compose_job(study, job)
            if not missing_package(config):
                build_estimator(config.model)
            refuse_late_features(config)
            make_policy(config.decision, threshold=0.5)
            assert config.tracking.experiment == f"study-{study.name}"


def test_the_page_shows_the_results(study):
    page = study.folder / PAGE
    recipe = read_recipe(study.folder)
    tables = write_tables(read_results(study.folder), recipe)
    assert fill_page(page, tables) == page.read_text("utf-8")
    for table in recipe.tables:
        assert table.figure is None or (study.folder / table.figure.file).exists()


def test_results_are_those_of_the_recipe(study):
    results = read_results(study.folder)
    wanted = [{k: v for k, v in job.labels.items()} for job in list_jobs(read_recipe(study.folder))]
    labels = results[[name for name in results if name in {k for each in wanted for k in each}]]
    found = [{k: v for k, v in row.items() if v} for row in labels.to_dict("records")]
    assert (study.folder / RESULTS).exists()
    assert found == wanted


def test_the_index_names_every_study():
    index = (ROOT / "experiments" / "README.md").read_text("utf-8")
    assert [name for name in STUDIES if f"[{name}]({name}/README.md)" not in index] == []
