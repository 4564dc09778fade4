import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from slarisk.config import FeatureSet, Weight
from slarisk.decisions.costs import cost_matrix
from slarisk.errors import InputError
from slarisk.learning.calibration import Calibrator
from slarisk.learning.features import make_features
from slarisk.learning.models import (
    BreachModel,
    breach_scores,
    fit_pipeline,
    make_fit_params,
    validate_unfitted,
    weigh_recent,
)
from slarisk.training.estimator import build_estimator

SETS = ["notebook", "calendar", "customer", "text"]


def fit(config, tickets):
    frame = make_features(tickets, config.features)
    breach = tickets["breach"].to_numpy()
    return fit_pipeline(build_estimator(config.model), config.features, frame, breach), frame


@pytest.mark.parametrize("features", SETS)
@pytest.mark.parametrize("model", ["lr", "rf", "gbm", "hist"])
def test_every_model_learns_from_every_feature_set(compose, tickets, model, features):
    config = compose(f"features={features}", model=model)
    pipeline, _ = fit(config, tickets[:700])
    breach_model = BreachModel(config.features, pipeline, Calibrator())
    probability = breach_model.probability(tickets[700:])

    assert probability.shape == (len(tickets) - 700,)
    assert probability.dtype == np.float64
    assert ((probability >= 0) & (probability <= 1)).all()
    # of the class "breach", and not of the other one
    assert roc_auc_score(tickets["breach"][700:], probability) > 0.6


@pytest.mark.parametrize("model", ["lr", "rf", "gbm", "hist"])
def test_every_model_answers_a_ticket_of_which_nothing_is_known(compose, tickets, model):
    config = compose("features=customer", model=model)
    pipeline, _ = fit(config, tickets)
    breach_model = BreachModel(config.features, pipeline, Calibrator())
    odd = pd.DataFrame({"priority": ["Cosmic", None], "customer_age": ["1e39", "old"]}, dtype="str")

    assert np.isfinite(breach_model.probability(odd)).all()
    assert np.isfinite(breach_model.probability(pd.DataFrame(index=range(2)))).all()


@pytest.mark.parametrize("model", ["lr", "rf", "gbm", "hist"])
def test_every_model_learns_where_a_number_is_always_missing(compose, tickets, model):
    config = compose("features=customer", model=model)
    nameless = tickets.assign(customer_age=pd.Series(None, tickets.index, dtype="str"))
    pipeline, frame = fit(config, nameless)

    assert np.isfinite(breach_scores(pipeline, frame)).all()


def test_lightgbm_splits_categories_as_categories(compose, tickets):
    pipeline, _ = fit(compose("features=calendar", model="gbm"), tickets)
    trees = pipeline["model"].booster_.trees_to_dataframe()
    kinds = trees.dropna(subset="split_feature").groupby("split_feature")["decision_type"].unique()
    categorical = [f"Column_{position}" for position in range(5)]

    assert {kind for name in kinds.index if name in categorical for kind in kinds[name]} == {"=="}
    assert {kind for name in kinds.index if name not in categorical for kind in kinds[name]} == {
        "<="
    }


def test_hist_gradient_boosting_splits_categories_as_categories(compose, tickets):
    config = compose("features=calendar", model="hist")
    pipeline, frame = fit(config, tickets)
    is_categorical = pipeline["model"].is_categorical_

    assert is_categorical.tolist() == [True] * 5 + [False] * (frame.shape[1] - 5)


def test_the_estimator_itself_is_never_fitted(compose, tickets):
    config = compose()
    estimator = build_estimator(config.model)
    frame = make_features(tickets, config.features)
    fit_pipeline(estimator, config.features, frame, tickets["breach"].to_numpy())

    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)


def test_a_forest_gives_the_same_digits_at_every_call(compose, tickets):
    config = compose("features=calendar")
    forest = RandomForestClassifier(60, min_samples_leaf=3, random_state=0, n_jobs=-1)
    frame = make_features(tickets, config.features)
    pipeline = fit_pipeline(forest, config.features, frame, tickets["breach"].to_numpy())
    first = breach_scores(pipeline, frame)

    assert all((breach_scores(pipeline, frame) == first).all() for _ in range(10))
    assert pipeline["model"].n_jobs == 1
    assert forest.n_jobs == -1


def test_no_tickets_have_no_scores(compose, tickets):
    pipeline, frame = fit(compose(), tickets)

    assert breach_scores(pipeline, frame[:0]).shape == (0,)


@pytest.mark.parametrize(("label", "said"), [(True, "all breached"), (False, "none breached")])
def test_one_class_is_nothing_to_learn_from(label, said):
    frame = pd.DataFrame({"priority": ["High", "Low"]})
    features = FeatureSet(name="x", categorical=["priority"])

    with pytest.raises(InputError, match=rf"2 tickets to train on, {said}"):
        fit_pipeline(LogisticRegression(), features, frame, np.array([label, label]))


def test_a_text_feature_without_words_is_named(compose, tickets):
    config = compose("features=text", "features.categorical=[priority]")
    silent = tickets.assign(subject="?!")

    with pytest.raises(InputError, match=r"features\.text: .* subject"):
        fit(config, silent)


@pytest.mark.parametrize(
    ("model", "parameter", "name"),
    [
        ("lr", "model.C=-1", "LogisticRegression"),
        ("rf", "model.max_features=7.5", "RandomForestClassifier"),
        ("gbm", "model.num_leaves=1", "LGBMClassifier"),
    ],
)
def test_parameters_that_the_estimator_refuses_are_told(compose, tickets, model, parameter, name):
    with pytest.raises(InputError, match=f"model {name} cannot be fitted"):
        fit(compose(parameter, model=model), tickets)


def test_max_categories_of_nothing_is_told(compose, tickets):
    with pytest.raises(InputError, match="max_categories"):
        fit(compose("features.max_categories=0"), tickets)


def test_an_estimator_that_refuses_sparse_columns_gets_dense_ones(compose, tickets):
    config = compose()
    frame = make_features(tickets, config.features)
    breach = tickets["breach"].to_numpy()
    sparse, dense = (
        fit_pipeline(estimator, config.features, frame, breach)
        for estimator in (LogisticRegression(max_iter=2000), GaussianNB())
    )

    assert issparse(sparse["encode"].transform(frame))  # else this shows nothing
    assert np.isfinite(breach_scores(dense, frame)).all()


def test_fitting_again_gives_the_same_model(compose, tickets):
    for model in ("lr", "rf", "gbm"):
        config = compose(model=model)
        (one, frame), (two, _) = fit(config, tickets), fit(config, tickets)

        assert (breach_scores(one, frame) == breach_scores(two, frame)).all()
        assert clone(one["model"]).get_params() is not None


def test_a_part_that_was_fitted_before_is_named(tickets):
    breach = tickets["breach"].to_numpy()
    scaler = FrozenEstimator(StandardScaler().fit(breach[:, None]))
    for before in (
        make_pipeline(scaler, LogisticRegression()),
        make_pipeline(make_pipeline(scaler), LogisticRegression()),
        FrozenEstimator(LogisticRegression().fit(breach[:, None], breach)),
    ):
        with pytest.raises(InputError, match=r"StandardScaler|LogisticRegression"):
            validate_unfitted(before)
    # these are fitted anew in each fold, whatever they were fitted on
    validate_unfitted(make_pipeline(StandardScaler().fit(breach[:, None]), LogisticRegression()))


COSTS = cost_matrix(np.array([500.0, 50.0, 10.0, 0.0]), 20.0, charged=1, effectiveness=0.8)


class CostSensitive(LogisticRegression):
    """A cost-sensitive estimator, by the names of its arguments."""

    def fit(self, X, y, tp_cost=None, tn_cost=None, fn_cost=None, fp_cost=None):
        self.costs_ = (tn_cost, fp_cost, fn_cost, tp_cost)
        return super().fit(X, y)


def test_tickets_weigh_what_an_escalation_saves():
    weight = make_fit_params(LogisticRegression(), COSTS, Weight.stakes)["sample_weight"]
    assert weight.tolist() == pytest.approx([3.8, 0.2, 0, 0])  # 380, 20, and two that never pay


def test_without_weights_a_fit_takes_features_alone():
    assert make_fit_params(LogisticRegression(), COSTS, Weight.none) == {}


def test_what_cannot_be_weighed_is_said():
    with pytest.raises(InputError, match="weight=stakes: CostSensitive"):
        make_fit_params(CostSensitive(), COSTS, Weight.stakes)
    free = cost_matrix(np.array([500.0]), 20.0, charged=1, effectiveness=0)
    with pytest.raises(InputError, match="weight=stakes"):
        make_fit_params(LogisticRegression(), free, Weight.stakes)


def test_a_weight_tells_in_the_fit(compose, tickets):
    config = compose(model="lr")
    frame = make_features(tickets, config.features)
    breach = tickets["breach"].to_numpy()
    critical = (tickets["priority"] == "Critical").to_numpy()
    weight = np.where(critical, 1.0, 0.0)

    def fit_with(fit_params):
        estimator = build_estimator(config.model)
        return breach_scores(
            fit_pipeline(estimator, config.features, frame, breach, fit_params), frame
        )

    assert fit_with({"sample_weight": weight})[critical].mean() == pytest.approx(
        breach[critical].mean(), abs=0.01
    )
    assert (fit_with({"sample_weight": np.ones(len(frame))}) == fit_with({})).all()


def test_a_cost_sensitive_estimator_is_given_each_tickets_costs(compose, tickets):
    config = compose()
    frame = make_features(tickets[:4], config.features)
    estimator = CostSensitive()
    fit_params = make_fit_params(estimator, COSTS, Weight.none)
    breach = np.array([True, False, True, False])
    model = fit_pipeline(estimator, config.features, frame, breach, fit_params)["model"]
    given = np.array([np.broadcast_to(each, 4) for each in model.costs_])
    assert (given == np.array([COSTS.tn, COSTS.fp, COSTS.fn, COSTS.tp])).all()


def test_weights_for_age_multiply_those_for_the_stakes():
    costs = cost_matrix([100.0, 300.0], 10, 0, 1)
    recent = np.array([0.5, 1.5])
    estimator = LogisticRegression()
    both = make_fit_params(estimator, costs, Weight.stakes, recent)["sample_weight"]
    assert both == pytest.approx([0.25, 2.25])  # $100 and $300 are 0.5 and 1.5 of their mean
    assert make_fit_params(estimator, costs, Weight.none, recent)["sample_weight"] is recent


def test_a_ticket_without_a_creation_time_has_no_age():
    with pytest.raises(InputError, match="half_life"):
        weigh_recent(pd.Series(pd.to_datetime(["2024-01-01", None])), 30)
