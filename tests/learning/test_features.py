import dataclasses
import math

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from slarisk.config import FeatureSet
from slarisk.errors import InputError
from slarisk.learning.features import (
    KINDS,
    category_names,
    comparable_names,
    encoding_for,
    feature_fields,
    feature_names,
    list_numeric_inputs,
    make_encoder,
    make_features,
    names_made_of,
    read_numbers,
    validate_features,
    validate_frame,
    validate_types,
)

SETS = ["notebook", "calendar", "customer", "text"]
EVERYTHING = FeatureSet(
    name="everything",
    categorical=["priority", "subject"],
    numeric=["customer_age"],
    calendar=["hour", "weekday", "weekend", "month", "hour_cyclic", "weekday_cyclic"],
    days_since=["purchased_at"],
    text=["subject"],
)


def typed(**fields):
    """Tickets as the contract gives them: text as str, dates as datetimes."""
    frame = pd.DataFrame(fields)
    for name in frame:
        dates = name.endswith("_at")
        frame[name] = frame[name].astype("datetime64[us]" if dates else "str")
    return frame


def test_each_list_of_a_feature_set_is_a_kind_and_each_kind_is_one():
    lists = {
        field.name for field in dataclasses.fields(FeatureSet) if field.default_factory is list
    }
    assert {kind.key for kind in KINDS} == lists
    assert len(KINDS) == len(lists)


def test_what_the_kinds_say_of_their_columns_and_fields():
    calendar = ["hour", "weekday", "weekend", "month"]
    circles = ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
    since = "days_since_purchased_at"
    words = ["priority", "subject", "words_subject"]

    assert feature_names(EVERYTHING) == [*words, "customer_age", *calendar, *circles, since]
    assert category_names(EVERYTHING) == ["priority", "subject"]
    assert comparable_names(EVERYTHING) == [
        name for name in feature_names(EVERYTHING) if name != "words_subject"
    ]
    assert list_numeric_inputs(EVERYTHING) == ["customer_age"]
    assert names_made_of("created_at", EVERYTHING) == [*calendar, *circles]
    assert set(feature_fields(EVERYTHING)) == {
        *("priority", "subject", "customer_age", "created_at", "purchased_at")
    }


def test_the_encoder_names_its_steps_as_registered_models_have_them():
    steps = make_encoder(EVERYTHING, "native").transformers
    numbers = comparable_names(EVERYTHING)[2:]

    assert [(name, columns) for name, _, columns in steps] == [
        ("categories", ["priority", "subject"]),
        ("numbers", numbers),
        ("words_subject", "words_subject"),
    ]


@pytest.mark.parametrize("name", SETS)
def test_the_frame_has_the_columns_that_were_announced(compose, tickets, name):
    features = compose(f"features={name}").features
    frame = make_features(tickets, features)

    assert frame.columns.tolist() == feature_names(features)
    assert frame.columns.is_unique
    assert len(frame) == len(tickets)
    numbers = [dtype.kind == "f" for dtype in frame.dtypes]
    words = len(features.categorical) + len(features.text)
    assert numbers == [False] * words + [True] * (len(frame.columns) - words)
    assert set(feature_fields(features)) <= set(tickets)


def test_features_by_hand():
    tickets = typed(
        priority=["High"],
        subject=["Data loss"],
        customer_age=["41"],
        created_at=["2024-03-03 18:30:00"],  # a Sunday
        purchased_at=["2024-03-01"],
    )
    row = make_features(tickets, EVERYTHING).iloc[0]

    assert row["priority"] == "High"
    assert row["subject"] == row["words_subject"] == "Data loss"
    assert row["customer_age"] == 41
    assert [row["hour"], row["weekday"], row["weekend"], row["month"]] == [18, 6, 1, 3]
    assert row["hour_sin"] == pytest.approx(math.sin(2 * math.pi * 18.5 / 24))
    assert row["hour_cos"] == pytest.approx(math.cos(2 * math.pi * 18.5 / 24))
    assert row["weekday_sin"] == pytest.approx(math.sin(2 * math.pi * 6.75 / 7))
    assert row["days_since_purchased_at"] == pytest.approx(2 + 18.5 / 24)


def test_an_hour_before_midnight_lies_beside_midnight():
    circle = FeatureSet(name="circle", calendar=["hour_cyclic"])
    created = ["2024-03-03 23:30", "2024-03-04 00:30", "2024-03-04 12:00"]
    late, early, noon = make_features(typed(created_at=created), circle).to_numpy()

    assert math.dist(late, early) < 0.3
    assert math.dist(late, noon) > 1.9


def test_a_gap_and_an_absent_field_are_both_unknown():
    gaps = typed(
        **{name: [None] for name in ("priority", "subject", "customer_age")},
        **{name: [None] for name in ("created_at", "purchased_at")},
    )
    frame = make_features(gaps, EVERYTHING)
    absent = make_features(pd.DataFrame(index=[0]), EVERYTHING)

    assert frame[["priority", "subject", "words_subject"]].iloc[0].tolist() == [
        "Unknown",
        "Unknown",
        "",
    ]
    assert frame.drop(columns=["priority", "subject", "words_subject"]).isna().all(axis=None)
    pd.testing.assert_frame_equal(frame, absent)


def test_numbers_written_as_text_are_read_and_the_rest_is_unknown():
    written = ["34", "7.5", "-2", "about 40", "inf", "1e300", None]
    numbers = read_numbers(typed(age=written), "age")

    assert numbers.dtype == float
    assert numbers.tolist()[:3] == [34, 7.5, -2]
    assert numbers[3:].isna().all()


@pytest.mark.parametrize("gap", [[], [None]])
def test_training_refuses_a_numeric_feature_that_is_text(gap):
    tickets = typed(age=["ancient", "young", *gap])

    with pytest.raises(InputError, match=r"'age' .*features.categorical") as refused:
        validate_types(tickets, FeatureSet(name="x", numeric=["age"]))
    # it goes to the tracking server, and the field may hold names
    assert "ancient" not in str(refused.value)
    assert "young" not in str(refused.value)


def test_training_takes_a_numeric_feature_without_a_single_value():
    validate_types(typed(age=[None, None]), FeatureSet(name="x", numeric=["age", "absent"]))


def test_training_refuses_dates_and_days_that_are_none():
    tickets = typed(bought_at=["2024-01-01"], note=["2024-01-01"])

    with pytest.raises(InputError, match=r"'bought_at'.*features\.days_since"):
        validate_types(tickets, FeatureSet(name="x", numeric=["bought_at"]))
    with pytest.raises(InputError, match=r"features\.days_since: .*'note'.*data\.dates"):
        validate_types(tickets, FeatureSet(name="x", days_since=["note"]))


def test_scoring_answers_a_batch_of_nothing_but_bad_numbers():
    features = FeatureSet(name="x", numeric=["age"])

    assert make_features(typed(age=["ancient", "young"]), features)["age"].isna().all()


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FeatureSet(name="x", categorical=["colour", "priority"]), "x needs the field colour"),
        (FeatureSet(name="x", calendar=["hour"]), "needs the field created_at"),
        (FeatureSet(name="x"), "names no feature at all"),
        (FeatureSet(name="x", categorical=["age"], numeric=["age"]), "two features of the name"),
    ],
)
def test_a_feature_set_that_makes_no_sense_is_refused(features, message):
    with pytest.raises(InputError, match=message):
        validate_features(features, {"priority", "age"})


def test_an_unknown_part_of_the_calendar_is_refused():
    with pytest.raises(InputError, match=r"'week' is not one of hour, weekday"):
        validate_features(FeatureSet(name="x", calendar=["week"]), {"created_at"})


def encode(features, encoding, train, score):
    frames = [make_features(typed(**fields), features) for fields in (train, score)]
    encoder = make_encoder(features, encoding).fit(frames[0])
    encoded = encoder.transform(frames[1])
    return encoded if isinstance(encoded, np.ndarray) else encoded.toarray()


@pytest.mark.parametrize("most", [None, 100])
def test_an_unseen_category_is_no_category(most):
    features = FeatureSet(name="x", categorical=["colour"], max_categories=most)
    train, score = {"colour": ["red", "blue", None]}, {"colour": ["green", "red", None]}

    # in order: Unknown, blue, red
    assert encode(features, "one_hot", train, score).tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0]]
    assert encode(features, "native", train, score).tolist() == [[-1], [2], [0]]


@pytest.mark.parametrize(("most", "columns"), [(None, 5), (3, 3)])
def test_rare_categories_are_grouped_beyond_the_most(most, columns):
    features = FeatureSet(name="x", categorical=["colour"], max_categories=most)
    colours = {"colour": [*"aaaabbbccd", "e"]}

    one_hot = encode(features, "one_hot", colours, colours)
    native = encode(features, "native", colours, colours)
    assert one_hot.shape[1] == columns
    assert one_hot.sum(axis=1).tolist() == [1] * 11
    assert len(np.unique(native)) == columns
    together = len(np.unique(native[-4:]))  # c, c, d, e
    assert together == (1 if most else 3)


def test_gaps_in_numbers_are_filled_with_the_median_and_scaled():
    train, score = {"age": ["20", "30", "70", None]}, {"age": [None, "30", "70"]}
    features = FeatureSet(name="x", numeric=["age"])
    plain = FeatureSet(name="x", numeric=["age"], scale=False)

    assert encode(plain, "one_hot", train, score).ravel().tolist() == [30, 30, 70]
    assert encode(plain, "native", train, score).ravel().tolist()[1:] == [30, 70]
    assert np.isnan(encode(features, "native", train, score)[0, 0])
    filled = np.array([20, 30, 70, 30])
    expected = (np.array([30, 30, 70]) - filled.mean()) / filled.std()
    assert encode(features, "one_hot", train, score).ravel() == pytest.approx(expected)


@pytest.mark.parametrize("encoding", ["one_hot", "native"])
def test_a_number_that_training_never_had_keeps_its_place(encoding):
    features = FeatureSet(name="x", numeric=["age", "height"])
    train = {"age": [None, None], "height": ["1", "2"]}
    encoded = encode(features, encoding, train, {"age": ["40"], "height": [None]})

    assert encoded.shape == (1, 2)


def test_words_are_counted_by_field_and_native_ones_are_dense():
    features = FeatureSet(name="x", categorical=["subject"], text=["subject", "note"])
    train = {"subject": ["data loss", "login fails"], "note": ["urgent", None]}
    frame = make_features(typed(**train), features)
    encoder = make_encoder(features, "native").fit(frame)

    assert isinstance(encoder.transform(frame), np.ndarray)
    assert encoder.transform(frame).shape == (2, 1 + 4 + 1)
    assert set(encoder.named_transformers_["words_note"].vocabulary_) == {"urgent"}


def test_text_without_a_word_to_learn_from_is_found():
    features = FeatureSet(name="x", text=["subject", "note", "remark"])
    empty = {"note": [None, ""], "remark": ["the", "? ! a"]}  # stop words and marks are no words
    frame = make_features(typed(subject=["data loss", None], **empty), features)

    with pytest.raises(InputError, match=r"features\.text: .* note, remark\."):
        validate_frame(frame, features)
    validate_frame(frame, FeatureSet(name="x", text=["subject"]))


@pytest.mark.parametrize(
    ("estimator", "encoding"),
    [
        (LogisticRegression(), "one_hot"),
        (RandomForestClassifier(), "one_hot"),
        (lightgbm.LGBMClassifier(), "native"),
        (HistGradientBoostingClassifier(), "native"),
    ],
)
def test_an_estimator_gets_the_encoding_it_knows(estimator, encoding):
    assert encoding_for(estimator) == encoding
