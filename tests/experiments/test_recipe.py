import pytest

from lab.recipe import Recipe, StudyPart, plan_jobs, read_recipe
from slarisk.errors import InputError


def test_every_combination_is_a_job_in_the_order_of_the_recipe():
    recipe = Recipe(
        overrides=["cost=charged"],
        axes={"model": ["model=lr", "model=gbm"], "rule": {"free": ["a=1", "b=2"]}},
        parts={
            "first": StudyPart(overrides=["data=sample"], draws=["split.seed=7", "split.seed=8"]),
            "second": StudyPart(axes={"model": {"forest": "model=rf"}, "rule": {}}),
        },
        tables=[],
    )
    jobs = plan_jobs(recipe)
    assert [tuple(job.labels.values()) for job in jobs] == [
        *(("first", "lr", "free", draw) for draw in "12"),
        *(("first", "gbm", "free", draw) for draw in "12"),
        ("second", "forest", "1"),
    ]
    one = ("cost=charged", "data=sample", "model=lr", "a=1", "b=2", "split.seed=8")
    assert jobs[1].overrides == one
    assert jobs[4].overrides == ("cost=charged", "model=rf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parts: {}", "tables"),
        ("parts: {a: {ovr: []}}\ntables: []", "parts.a.ovr"),
        ("parts: {a: {over: moons}}\ntables: []", "parts.a.over"),
        ("parts: [", "study.yaml"),
    ],
)
def test_a_wrong_recipe_names_the_key(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(tmp_path)


def test_a_study_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"study\.yaml"):
        read_recipe(tmp_path / "nothing")
