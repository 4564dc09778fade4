import io
import json
import os
import zipfile
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.pipeline import Pipeline

from slarisk.config import Decision, DecisionKind
from slarisk.errors import InputError
from slarisk.learning.features import make_features
from slarisk.learning.models import BreachModel
from slarisk.model.bundle import (
    BUCKET,
    BUCKETS,
    CHECKSUMS,
    ESCALATE,
    ESCALATED,
    LEFT,
    MANIFEST,
    ORIGIN,
    PIPELINE,
    PROBABILITY,
    SEEN,
    TRUSTED_TYPES,
    load_bundle,
    risk_buckets,
    save_bundle,
    write_bundle_checksums,
)
from slarisk.model.seen_tickets import NEW, OUT_OF_FOLD, TEST

CATBOOST = pytest.param(
    "catboost",
    (),
    marks=pytest.mark.skipif(
        not find_spec("catboost"), reason="the extra 'catboost' is not there: make catboost"
    ),
)
CHOICES = [
    CATBOOST,
    *(("lr", (f"calibration={kind}",)) for kind in ("none", "sigmoid", "isotonic")),
    ("lr", ("features=text", "decision=threshold")),
    ("rf", ("features=calendar", "calibration=isotonic", "split=random")),
    ("gbm", ("features=customer", "calibration=sigmoid", "decision=capacity")),
    *(("hist", (f"features={name}",)) for name in ("notebook", "calendar", "customer", "text")),
    pytest.param(
        "csboost",
        ("calibration=sigmoid",),
        marks=pytest.mark.skipif(
            not find_spec("empulse"), reason="the extra 'empulse' is not there"
        ),
    ),
]


class Homemade(DummyClassifier):
    """An estimator that no list of trusted types knows."""


def strange(tickets, **fields):
    """Tickets like the first ones of an export, but never seen, with some fields replaced."""
    some = tickets.head(4).assign(ticket_id=pd.Series(["X1", "X2", "X3", "X4"], dtype="str"))
    for name, value in fields.items():
        some[name] = pd.Series([value] * 4, dtype=some[name].dtype)
    return some


@pytest.mark.parametrize(("model", "choices"), CHOICES)
def test_a_loaded_bundle_decides_the_same_to_the_last_bit(train, tmp_path, model, choices):
    made = train(*choices, model=model)
    save_bundle(made.bundle, tmp_path)
    loaded = load_bundle(tmp_path)

    assert loaded.manifest == made.bundle.manifest
    pd.testing.assert_frame_equal(
        loaded.decide(made.tickets), made.bundle.decide(made.tickets), check_exact=True
    )
    again = made.tickets.assign(ticket_id=made.tickets["ticket_id"] + "x")  # now by the model
    pd.testing.assert_frame_equal(loaded.decide(again), made.bundle.decide(again), check_exact=True)
    assert (made.bundle.decide(again)[ORIGIN] == NEW).all()


@pytest.mark.parametrize(
    ("model", "choices"),
    [*((name, ("features=text",)) for name in ("lr", "rf", "gbm")), CATBOOST],
)
def test_nothing_in_a_bundle_is_a_pickle(train, tmp_path, model, choices):
    save_bundle(train(*choices, model=model).bundle, tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bundle.json",
        "pipeline.skops",
        "seal.json",
        "seen.parquet",
    ]
    with zipfile.ZipFile(tmp_path / PIPELINE) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert name.endswith((".json", ".npy")) or content.startswith(b"CBM1")  # CatBoost's
            if name.endswith(".npy"):  # raises if it needs a pickle
                np.load(io.BytesIO(content), allow_pickle=False)


def test_a_bundle_does_not_say_who_wrote_the_tickets(trained, tmp_path):
    save_bundle(trained.bundle, tmp_path)
    seen = pd.read_parquet(tmp_path / "seen.parquet")

    assert seen.columns.tolist() == ["identity", "created_at", "origin", "probability"]
    assert seen["identity"].dtype == np.uint64


def test_an_estimator_of_an_unknown_type_is_refused_by_name(trained, tmp_path):
    pipeline = trained.bundle.model.pipeline
    odd = Pipeline([("encode", pipeline["encode"]), ("model", Homemade())])
    odd["model"].fit(np.zeros((2, 1)), [0, 1])
    model = BreachModel(trained.bundle.manifest.features, odd, trained.bundle.model.calibrator)

    with pytest.raises(InputError, match=r"LogisticRegression .*\.Homemade, .*TRUSTED_TYPES"):
        save_bundle(replace(trained.bundle, model=model), tmp_path)


@pytest.mark.parametrize("payload", [os.system, partial(os.system, "exit"), partial(partial, exit)])
def test_a_tampered_pipeline_is_not_loaded(trained, tmp_path, payload):
    save_bundle(trained.bundle, tmp_path)
    skops.io.dump({"model": payload}, tmp_path / PIPELINE)
    with pytest.raises(InputError, match=r"^pipeline\.skops was changed"):
        load_bundle(tmp_path)
    write_bundle_checksums(tmp_path)  # who can write one file can write two

    with pytest.raises(InputError, match=r"pipeline\.skops: .*(system|Quitter)"):
        load_bundle(tmp_path)


def test_a_bundle_of_another_format_is_refused(trained, tmp_path):
    save_bundle(trained.bundle, tmp_path)
    # of a later version nothing but the number can be relied on
    (tmp_path / MANIFEST).write_text(json.dumps({"format": 2, "policy": {}}))
    write_bundle_checksums(tmp_path)

    with pytest.raises(InputError, match=r"bundle\.json: .*2.*1"):
        load_bundle(tmp_path)


def test_a_file_altered_by_one_byte_is_told(trained, tmp_path):
    """Any MLflow client finds out, for it loads the bundle with this code."""
    save_bundle(trained.bundle, tmp_path)
    rng = np.random.default_rng(0)
    for name in (MANIFEST, PIPELINE, SEEN, CHECKSUMS):
        told = rf"{name} was changed" if name != CHECKSUMS else "was changed|is missing|was added"
        sound = (tmp_path / name).read_bytes()
        for place in (0, *rng.integers(len(sound), size=10), len(sound) - 1):
            altered = bytearray(sound)
            altered[place] ^= 1
            (tmp_path / name).write_bytes(altered)
            with pytest.raises(InputError, match=told):
                load_bundle(tmp_path)
        (tmp_path / name).write_bytes(sound)
    assert load_bundle(tmp_path)


@pytest.mark.parametrize("name", [MANIFEST, PIPELINE, SEEN, CHECKSUMS])
def test_a_file_that_is_missing_is_told(trained, tmp_path, name):
    save_bundle(trained.bundle, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        load_bundle(tmp_path)


def test_only_types_that_can_do_no_harm_are_trusted():
    harmful = ("os", "posix", "subprocess", "builtins", "operator", "importlib", "joblib", "pickle")

    assert not [name for name in TRUSTED_TYPES if name.split(".")[0] in harmful]


@pytest.mark.parametrize("split", ["random", "temporal"])
def test_training_tickets_have_their_out_of_fold_score(train, split):
    made = train(f"split={split}", model="rf")
    decided = made.bundle.decide(made.training)

    assert (decided[ORIGIN] == OUT_OF_FOLD).all()
    assert (decided[PROBABILITY] == made.learned.probability).all()
    assert (decided[PROBABILITY] != made.bundle.model.probability(made.training)).mean() > 0.9


def test_held_out_and_new_tickets_have_the_models_score(train):
    made = train(model="rf")
    held_out = made.bundle.decide(made.test)
    assert (held_out[ORIGIN] == TEST).all()
    assert (held_out[PROBABILITY] == made.bundle.model.probability(made.test)).all()

    unseen = strange(made.tickets)
    assert (made.bundle.decide(unseen)[ORIGIN] == NEW).all()
    assert (made.bundle.decide(unseen)[PROBABILITY] == made.bundle.model.probability(unseen)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "choices"),
    [
        ("lr", ()),
        ("rf", ("features=text",)),
        ("gbm", ("features=customer",)),
        ("hist", ()),
        CATBOOST,
    ],
)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_decision_depends_on_its_own_ticket_alone(train, choices, model, data):
    made = train(*choices, model=model)
    # half of them as the training run knows them, half as new tickets
    tickets = made.tickets.iloc[:200].copy()
    tickets.loc[tickets.index % 2 == 0, "ticket_id"] += "x"
    whole = made.bundle.decide(tickets)
    rows = data.draw(st.lists(st.integers(0, 199), min_size=1, max_size=30, unique=True))
    some = made.bundle.decide(tickets.iloc[rows])

    assert some.index.tolist() == rows
    pd.testing.assert_frame_equal(some, whole.loc[rows], check_exact=False, rtol=1e-12, atol=0)


@given(rows=st.lists(st.integers(0, 199), min_size=1, max_size=10, unique=True))
@settings(max_examples=10, deadline=None)
def test_imputed_tickets_score_alone_as_in_a_batch(imputed, rows):
    tickets = imputed.tickets.iloc[:200].copy()
    tickets.loc[tickets.index % 2 == 0, "ticket_id"] += "x"
    whole = imputed.bundle.decide(tickets)

    for row in rows:
        alone = imputed.bundle.decide(tickets.iloc[[row]])
        pd.testing.assert_frame_equal(alone, whole.loc[[row]], rtol=1e-12, atol=0)


def test_duplicate_labels_of_rows_do_not_matter(trained):
    tickets = trained.tickets.head(6)
    expected = trained.bundle.decide(tickets)
    decided = trained.bundle.decide(tickets.set_axis([7, 7, 3, 3, 3, 0]))

    assert decided.index.tolist() == [7, 7, 3, 3, 3, 0]
    pd.testing.assert_frame_equal(decided.reset_index(drop=True), expected)


@pytest.mark.parametrize("model", ["lr", "rf", "gbm"])
def test_a_ticket_of_which_nothing_is_known_is_answered(train, model):
    made = train("features=customer", model=model)
    blank = made.tickets.head(3).copy()
    for name in made.config.data.columns:
        blank[name] = pd.Series(None, index=blank.index, dtype=blank[name].dtype)
    decided = made.bundle.decide(blank)

    numbers = decided[[PROBABILITY, LEFT, ESCALATED]].to_numpy(dtype=float)
    assert np.isfinite(numbers).all()
    assert (decided[ORIGIN] == NEW).all()
    fallback = made.training["breach_cost"].mean()
    assert decided[LEFT].to_numpy() == pytest.approx(decided[PROBABILITY] * fallback)


@pytest.mark.parametrize("field", ["priority", "channel", "product", "subject"])
def test_an_unseen_category_is_answered(trained, field):
    decided = trained.bundle.decide(strange(trained.tickets, **{field: "Cosmic"}))

    assert np.isfinite(decided[[PROBABILITY, LEFT, ESCALATED]].to_numpy(dtype=float)).all()


def test_expected_losses_by_hand(trained):
    decided = trained.bundle.decide(strange(trained.tickets, priority="Medium")).iloc[0]
    probability = decided[PROBABILITY]

    # an alias of Normal, $50; $20 an escalation that is charged in full and averts 80%, unless it
    # takes longer than the target, 4 times its median: ln(4) / 0.6 deviations above
    averted = 0.8 * NormalDist().cdf(np.log(4) / 0.6)
    assert decided[LEFT] == pytest.approx(50 * probability)
    assert decided[ESCALATED] == pytest.approx(20 + (1 - averted) * 50 * probability)
    assert decided[ESCALATE] == (decided[LEFT] > decided[ESCALATED])


def test_a_price_that_is_none_is_replaced(priced):
    tickets = strange(priced.tickets)
    tickets["lost"] = pd.Series([None, "inf", "-3", "60"], dtype="str")
    tickets["effort"] = pd.Series(["5", None, "-inf", "free"], dtype="str")
    costs = priced.bundle.manifest.costs(tickets)
    mean = priced.training["breach_cost"].mean()

    assert costs.fn == pytest.approx([mean, mean, mean, 60])
    assert costs.fp.tolist() == [5, 20, 20, 20]
    decided = priced.bundle.decide(tickets)
    assert np.isfinite(decided[[LEFT, ESCALATED]].to_numpy(dtype=float)).all()


def test_capacity_counts_the_tickets_of_a_day(trained):
    manifest = replace(trained.bundle.manifest, decision=Decision(DecisionKind.capacity, per_day=1))
    bundle = replace(trained.bundle, manifest=manifest)
    decided = bundle.decide(trained.tickets)
    days = trained.tickets["created_at"].dt.date

    assert decided[ESCALATE].groupby(days).sum().max() == 1
    unlimited = trained.bundle.decide(trained.tickets)[ESCALATE]
    assert unlimited.groupby(days).sum().max() > 1
    assert (unlimited | ~decided[ESCALATE]).all()


def test_the_threshold_of_training_decides(trained):
    manifest = replace(
        trained.bundle.manifest, decision=Decision(DecisionKind.threshold), threshold=0.25
    )
    decided = replace(trained.bundle, manifest=manifest).decide(trained.tickets)

    assert decided[ESCALATE].any()
    assert (decided[ESCALATE] == (decided[PROBABILITY] >= 0.25)).all()


def test_buckets_include_their_upper_end():
    edges = [0, 0.33, np.nextafter(0.33, 1), 0.66, np.nextafter(0.66, 1), 1]

    assert list(BUCKETS) == ["Low Risk", "Medium Risk", "High Risk"]
    assert risk_buckets(np.array(edges)).tolist() == [0, 0, 1, 1, 2, 2]


def test_buckets_follow_the_probability(trained):
    decided = trained.bundle.decide(trained.tickets)

    numbers = risk_buckets(decided[PROBABILITY].to_numpy())
    assert decided[BUCKET].tolist() == [list(BUCKETS)[number] for number in numbers]


def test_no_tickets_need_no_decision(trained):
    decided = trained.bundle.decide(trained.tickets.head(0))

    assert decided.empty
    assert decided.columns.tolist() == [PROBABILITY, BUCKET, ESCALATE, LEFT, ESCALATED, ORIGIN]


def test_required_are_features_birth_and_prices(train, imputed, priced):
    kinds = ["ticket_type", "priority", "channel", "product", "subject"]

    assert train().bundle.required_fields() == [*kinds, "created_at"]
    assert priced.bundle.required_fields() == [*kinds, "created_at", "lost", "effort"]
    assert imputed.bundle.required_fields() == [*kinds, "first_response_at"]
    # without the birth, a training ticket would not be recognised
    timeless = train("features.calendar=[]", "features.categorical=[channel]").bundle
    assert timeless.required_fields() == ["channel", "created_at", "priority"]


def test_the_categories_of_training_are_known(trained):
    known = trained.bundle.known_categories()
    features = trained.bundle.manifest.features
    frame = make_features(trained.training, features)
    assert {name: set(values) for name, values in known.items()} == {
        name: set(frame[name]) for name in features.categorical
    }
