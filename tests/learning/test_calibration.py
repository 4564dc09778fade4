import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from slarisk.config import CalibrationKind
from slarisk.errors import InputError
from slarisk.learning.calibration import Calibrator, cross_calibrate, fit_calibrator

POOLED = [CalibrationKind.sigmoid, CalibrationKind.isotonic]
MAPS = [*POOLED, CalibrationKind.venn_abers]
TICKET = st.tuples(st.floats(0, 1), st.booleans())


@st.composite
def scored(draw):
    rows = draw(st.lists(TICKET, min_size=2, max_size=40))
    score, breach = zip(*rows, strict=True)
    return np.array(score), np.array(breach)


@pytest.fixture(scope="module")
def overconfident():
    """Scores twice as sure, in log-odds, as the truth allows; and their true probability."""
    rng = np.random.default_rng(0)
    odds = rng.normal(-1, 1.5, 20_000)
    truth = 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-2 * odds)), rng.random(20_000) < truth, truth


@pytest.mark.parametrize("kind", MAPS)
def test_calibration_finds_the_truth(overconfident, kind):
    score, breach, truth = overconfident
    calibrated = fit_calibrator(kind, score, breach).apply(score)

    assert abs(score - truth).mean() > 0.08
    assert abs(calibrated - truth).mean() < 0.02


def test_no_calibration_changes_nothing():
    score = np.array([0.0, 0.2, 1.0])
    breach = np.array([True, False, True])

    assert fit_calibrator(CalibrationKind.none, score, breach).apply(score).tolist() == [0, 0.2, 1]
    fold = np.array([0, 0, 0])
    assert cross_calibrate(CalibrationKind.none, score, breach, fold).tolist() == [0, 0.2, 1]


def test_the_sigmoid_is_logistic_regression_on_the_log_odds(overconfident):
    score, breach, _ = overconfident
    odds = np.log(score / (1 - score))
    line = LogisticRegression(C=np.inf).fit(odds[:, None], breach)
    ours = fit_calibrator(CalibrationKind.sigmoid, score, breach)

    assert ours.slope == pytest.approx(line.coef_[0, 0], rel=0.01)
    assert ours.intercept == pytest.approx(line.intercept_[0], abs=0.01)


def test_the_sigmoid_stays_finite_where_scores_part_the_classes():
    score = np.linspace(0, 1, 100)
    calibrator = fit_calibrator(CalibrationKind.sigmoid, score, score > 0.5)
    probability = calibrator.apply(score)

    assert 0 < calibrator.slope < 100
    assert probability[0] < 0.01
    assert probability[-1] > 0.99


def test_isotonic_is_scikit_learns(overconfident):
    score, breach, _ = overconfident
    theirs = IsotonicRegression(out_of_bounds="clip").fit(score[:500], breach[:500].astype(float))
    ours = fit_calibrator(CalibrationKind.isotonic, score[:500], breach[:500])

    assert ours.apply(score) == pytest.approx(theirs.predict(score), abs=1e-12)


@pytest.mark.parametrize("kind", MAPS)
@settings(deadline=None, max_examples=20)
@given(tickets=scored(), others=st.lists(st.floats(0, 1), min_size=1, max_size=20))
@pytest.mark.slow
def test_a_map_never_falls_and_stays_a_probability(kind, tickets, others):
    probability = fit_calibrator(kind, *tickets).apply(np.sort(others))

    assert ((probability >= 0) & (probability <= 1)).all()
    assert (np.diff(probability) >= 0).all()


def test_venn_abers_is_two_isotonic_fits_for_each_score(overconfident):
    score, breach = overconfident[0][:300].round(3), overconfident[1][:300]
    ours = fit_calibrator(CalibrationKind.venn_abers, score, breach)

    for new in (0.0, 0.001, 0.25, *score[:5], 1.0):
        low, high = (
            IsotonicRegression()
            .fit(np.append(score, new), np.append(breach, label).astype(float))
            .predict([new])[0]
            for label in (False, True)
        )
        assert low < high
        assert ours.apply(np.array([new]))[0] == pytest.approx(high / (1 - low + high))


@pytest.mark.parametrize("label", [True, False])
def test_venn_abers_is_never_sure(label):
    calibrator = fit_calibrator(
        CalibrationKind.venn_abers, np.linspace(0, 1, 50), np.full(50, label)
    )
    ends = calibrator.apply(np.array([0.0, 1.0]))
    assert ((ends > 0) & (ends < 1)).all()


@pytest.mark.parametrize("kind", POOLED)
def test_a_score_that_ranks_backwards_is_not_turned_round(kind):
    score = np.linspace(0.01, 0.99, 200)
    probability = fit_calibrator(kind, score, score < 0.3).apply(score)

    assert probability == pytest.approx(np.full(200, (score < 0.3).mean()), abs=0.01)


@pytest.mark.parametrize("kind", POOLED)
@pytest.mark.parametrize("label", [True, False])
def test_one_class_gives_one_probability(kind, label):
    score = np.linspace(0, 1, 50)
    probability = fit_calibrator(kind, score, np.full(50, label)).apply(score)

    assert probability == pytest.approx(np.full(50, float(label)), abs=0.05)


@pytest.mark.parametrize("kind", list(CalibrationKind))
@settings(deadline=None)
@given(tickets=scored(), others=st.lists(st.floats(0, 1), min_size=1, max_size=20))
@pytest.mark.slow
def test_a_map_comes_back_from_json_to_the_last_bit(kind, tickets, others):
    calibrator = fit_calibrator(kind, *tickets)
    json = TypeAdapter(Calibrator)
    back = json.validate_json(json.dump_json(calibrator))

    assert back == calibrator
    assert (back.apply(np.array(others)) == calibrator.apply(np.array(others))).all()


@pytest.mark.parametrize("kind", MAPS)
def test_cross_calibration_never_uses_a_tickets_own_label(overconfident, kind):
    score, breach = overconfident[0][:300], overconfident[1][:300]
    fold = np.arange(300) % 3
    before = cross_calibrate(kind, score, breach, fold)
    for ticket in (0, 1, 2, 100, 299):
        flipped = breach.copy()
        flipped[ticket] = not flipped[ticket]
        after = cross_calibrate(kind, score, flipped, fold)

        own = fold == fold[ticket]
        assert (after[own] == before[own]).all()
        assert (after[~own] != before[~own]).any()


@pytest.mark.parametrize("kind", MAPS)
def test_cross_calibration_fits_on_the_other_folds(overconfident, kind):
    score, breach = overconfident[0][:300], overconfident[1][:300]
    fold = np.arange(300) % 3
    calibrated = cross_calibrate(kind, score, breach, fold)

    others = fit_calibrator(kind, score[fold != 1], breach[fold != 1])
    assert (calibrated[fold == 1] == others.apply(score[fold == 1])).all()


@pytest.mark.parametrize("kind", MAPS)
def test_one_fold_alone_cannot_be_cross_calibrated(kind):
    score, breach = np.linspace(0, 1, 10), np.arange(10) % 2 == 0

    with pytest.raises(InputError, match=rf"calibration={kind.value} .* split.folds=3 or more"):
        cross_calibrate(kind, score, breach, np.zeros(10, dtype=int))
