import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from slarisk.evaluation.importance import measure_importance

TICKETS = 400


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(TICKETS, 3)), columns=["noise", "weak", "strong"])
    breach = (3 * frame["strong"] + frame["weak"] + rng.normal(size=TICKETS) > 0).to_numpy()
    return make_pipeline(LogisticRegression()).fit(frame, breach), frame, breach


def test_features_are_ranked_by_what_shuffling_them_loses(fitted):
    pipeline, frame, breach = fitted
    found = measure_importance(pipeline, frame, breach, repeats=5, most=1000, seed=42)

    assert found.names == ["strong", "weak", "noise"]
    assert (np.diff(found.mean) < 0).all()
    assert abs(found.mean[2]) < 0.01 < 0.2 < found.mean[0]
    assert found.std.shape == (3,)


def test_importance_is_average_precision_lost(fitted):
    pipeline, frame, breach = fitted
    found = measure_importance(pipeline, frame, breach, repeats=30, most=1000, seed=1)
    rng = np.random.default_rng(2)
    whole = average_precision_score(breach, pipeline.predict_proba(frame)[:, 1])
    lost = []
    for _ in range(30):
        shuffled = frame.assign(strong=rng.permutation(frame["strong"]))
        scores = pipeline.predict_proba(shuffled)[:, 1]
        lost.append(whole - average_precision_score(breach, scores))
    assert found.mean[0] == pytest.approx(np.mean(lost), abs=3 * np.std(lost) / np.sqrt(15))


def test_importance_can_be_repeated(fitted):
    pipeline, frame, breach = fitted
    one, two = (measure_importance(pipeline, frame, breach, 2, 100, seed=7) for _ in range(2))
    assert one.mean.tolist() == two.mean.tolist()


def test_the_numbers_are_those_of_scikit_learn(fitted):
    pipeline, frame, breach = fitted
    frame = frame.assign(word=np.where(frame["strong"] > 1, "many", "few")).convert_dtypes()
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["word"]), remainder="passthrough"),
        RandomForestClassifier(20, random_state=0),
    ).fit(frame, breach)
    found = measure_importance(pipeline, frame, breach, repeats=3, most=1000, seed=42)
    theirs = permutation_importance(
        pipeline, frame, breach, scoring="average_precision", n_repeats=3, random_state=42
    )
    by_name = dict(zip(frame.columns, theirs.importances_mean, strict=True))
    assert found.mean.tolist() == [by_name[name] for name in found.names]


def test_a_large_test_set_is_sampled(fitted):
    pipeline, frame, breach = fitted
    scored = []

    class Watched:
        def predict_proba(self, rows):
            scored.append(rows)
            return pipeline.predict_proba(rows)

    assert measure_importance(Watched(), frame, breach, repeats=2, most=200, seed=0)
    sample, *shuffled = scored
    assert len(sample) == 200
    assert sample.index.is_unique
    assert sample.equals(frame.loc[sample.index])
    assert [len(rows) for rows in shuffled] == [400] * 3
    assert measure_importance(Watched(), frame, breach, repeats=1, most=TICKETS, seed=0)
    assert len(scored[-1]) == TICKETS


def test_there_is_no_importance_without_repeats_or_breaches(fitted):
    pipeline, frame, breach = fitted
    assert measure_importance(pipeline, frame, breach, repeats=0, most=1000, seed=0) is None
    none = np.zeros_like(breach)
    assert measure_importance(pipeline, frame, none, repeats=5, most=1000, seed=0) is None
