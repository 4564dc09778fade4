import numpy as np
import pytest

from slarisk.config import CalibrationKind
from slarisk.errors import InputError
from slarisk.learning.calibration import cross_calibrate, fit_calibrator
from slarisk.learning.crossfit import cross_fit
from slarisk.learning.features import make_features
from slarisk.learning.models import breach_scores, fit_pipeline
from slarisk.learning.splits import make_folds
from slarisk.training.estimator import build_estimator


@pytest.fixture(scope="module")
def training(tickets):
    return tickets[:500].reset_index(drop=True)


def fit_folds(config, training, folds, calibration=CalibrationKind.none):
    return cross_fit(build_estimator(config.model), config.features, calibration, training, folds)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["random", "temporal"])
@pytest.mark.parametrize("model", ["lr", "rf", "gbm"])
def test_a_tickets_own_label_does_not_move_its_probability(compose, training, model, split):
    config = compose(f"split={split}", model=model)
    folds = make_folds(training, config.split)
    before = fit_folds(config, training, folds).probability
    for fold in folds[:2]:
        ticket = fold.score[3]
        flipped = training.copy()
        flipped.loc[ticket, "breach"] = not training.loc[ticket, "breach"]
        after = fit_folds(config, flipped, folds).probability

        assert (after[fold.score] == before[fold.score]).all()
        others = np.setdiff1d(np.arange(len(training)), fold.score)
        assert (after[others] != before[others]).any()


@pytest.mark.parametrize("split", ["random", "temporal"])
def test_each_fold_is_scored_by_a_model_of_the_others(compose, training, split):
    config = compose(f"split={split}")
    folds = make_folds(training, config.split)
    learned = fit_folds(config, training, folds)
    frame, breach = make_features(training, config.features), training["breach"].to_numpy()

    for fold in folds:
        pipeline = fit_pipeline(
            build_estimator(config.model), config.features, frame.iloc[fold.fit], breach[fold.fit]
        )
        expected = breach_scores(pipeline, frame.iloc[fold.score])
        assert (learned.probability[fold.score] == expected).all()
        assert (learned.eligible[fold.score] == fold.eligible).all()


def test_the_model_is_fitted_on_all_training_tickets(compose, training):
    config = compose()
    folds = make_folds(training, config.split)
    learned = fit_folds(config, training, folds)
    frame = make_features(training, config.features)
    pipeline = fit_pipeline(
        build_estimator(config.model), config.features, frame, training["breach"].to_numpy()
    )

    assert (learned.model.score(frame) == breach_scores(pipeline, frame)).all()
    assert (learned.model.probability(training) != learned.probability).any()


@pytest.mark.parametrize("kind", [CalibrationKind.sigmoid, CalibrationKind.isotonic])
def test_calibration_rests_on_honest_out_of_fold_scores(compose, training, kind):
    config = compose("split=temporal")
    folds = make_folds(training, config.split)
    plain = fit_folds(config, training, folds)
    learned = fit_folds(config, training, folds, kind)
    breach, eligible = training["breach"].to_numpy(), plain.eligible
    fold_of = np.empty(len(training), dtype=int)
    for number, fold in enumerate(folds):
        fold_of[fold.score] = number

    calibrator = fit_calibrator(kind, plain.probability[eligible], breach[eligible])
    assert learned.model.calibrator == calibrator
    # the oldest block was scored by models that had seen the future: no map is fitted on it
    assert (~eligible).sum() == len(folds[0].score)
    old = calibrator.apply(plain.probability[~eligible])
    assert (learned.probability[~eligible] == old).all()
    crossed = cross_calibrate(
        kind, plain.probability[eligible], breach[eligible], fold_of[eligible]
    )
    assert (learned.probability[eligible] == crossed).all()


def test_a_fold_without_a_single_number_is_learned_from(compose, training):
    config = compose("features=customer", "split=temporal")
    folds = make_folds(training, config.split)
    started = training.copy()  # the age was asked for later: the first block has none
    started.loc[folds[0].score, "customer_age"] = None

    assert np.isfinite(fit_folds(config, started, folds).probability).all()


def test_a_numeric_feature_that_is_text_is_refused(compose, training):
    config = compose("features=notebook", "features.numeric=[channel]")

    with pytest.raises(InputError, match=r"'channel'.*features\.categorical"):
        fit_folds(config, training, make_folds(training, config.split))
