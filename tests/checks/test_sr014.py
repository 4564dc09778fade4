"""SR014: no feature picked on test tickets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

COUNT, PICKED = 120, 10


@pytest.fixture(scope="module")
def judge(clean, examine):
    """Many numbers, some of them real, and some picked as features by a choice."""

    def judge_choice(choose, real=0):
        rng = np.random.default_rng(1)
        names = [f"n{number}" for number in range(COUNT)]
        parts = {}
        for name, part in (("training", clean.training), ("test", clean.test)):
            numbers = rng.normal(size=(len(part), COUNT))
            numbers[:, :real] += 0.8 * part["breach"].to_numpy()[:, None]
            numbers = pd.DataFrame(numbers, index=part.index, columns=names)
            parts[name] = pd.concat([part, numbers], axis=1)
        data = clean.config.data
        data = replace(
            data,
            columns=data.columns | {name: name for name in names},
            known=replace(data.known, created=[*data.known.created, *names]),
        )
        picked = choose(parts, names)
        features = replace(clean.config.features, numeric=picked)
        config = replace(clean.config, data=data, features=features)
        return examine("SR014", replace(clean, config=config, **parts))

    return judge_choice


def best_of(tickets, names):
    strength = tickets[names].corrwith(tickets["breach"].astype(float)).abs()
    return strength.nlargest(PICKED).index.tolist()


def test_the_best_of_all_tickets_fail(judge):
    found = judge(lambda parts, names: best_of(pd.concat(parts.values()), names))
    assert found.verdict.value == "failed"


def test_the_best_of_the_training_tickets_are_fine(judge):
    assert judge(lambda parts, names: best_of(parts["training"], names)).verdict.value == "ok"


def test_what_is_known_to_matter_is_fine(judge):
    assert judge(lambda parts, names: names[:PICKED], real=PICKED).verdict.value == "ok"
    assert judge(lambda parts, names: names[5:15], real=PICKED).verdict.value == "ok"


def test_a_choice_by_chance_is_fine(judge):
    assert judge(lambda parts, names: names[::12]).verdict.value == "ok"


def test_a_few_fields_are_no_choice(clean, examine):
    assert examine("SR014", clean).verdict.value == "ok"
