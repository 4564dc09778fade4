import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from slarisk.config import Split, SplitKind
from slarisk.errors import InputError
from slarisk.learning.splits import fingerprint_split, hold_out, make_folds

RANDOM = Split(SplitKind.random)
TEMPORAL = Split(SplitKind.temporal)


def desk(days, breach, known_after=1.0):
    """Tickets created on some days of 2024, with labels known some days later."""
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(pd.Series(days, dtype=float), unit="D")
    created = created.astype("datetime64[us]")
    return pd.DataFrame(
        {
            "ticket_id": pd.Series([f"T{i}" for i in range(len(days))], dtype="str"),
            "created_at": created,
            "label_known_at": created + pd.to_timedelta(known_after, unit="D"),
            "breach": np.array(breach, dtype=bool),
        }
    )


def year(count=100):
    return desk(np.arange(count), np.arange(count) % 3 == 0)


@st.composite
def desks(draw):
    size = draw(st.integers(12, 40))
    days = draw(st.lists(st.integers(0, 30), min_size=size, max_size=size))
    waits = draw(st.lists(st.sampled_from([0.1, 1.0, 9.0, np.nan]), min_size=size, max_size=size))
    breach = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    tickets = desk(days, breach, np.array(waits))
    unborn = draw(st.lists(st.integers(0, size - 1), max_size=3))
    tickets.loc[unborn, "created_at"] = pd.NaT
    return tickets


def test_the_random_split_is_scikit_learns(tickets):
    breach = tickets["breach"].to_numpy()
    held_out = hold_out(tickets, Split(SplitKind.random, test_size=0.3, seed=7))
    train, test = train_test_split(
        np.arange(len(tickets)), test_size=0.3, random_state=7, stratify=breach
    )

    assert held_out.train.tolist() == train.tolist()
    assert held_out.test.tolist() == test.tolist()
    assert held_out.cut is None
    assert held_out.left_out == {}


def test_the_latest_tickets_are_held_out():
    tickets = year(100).sample(frac=1, random_state=0).reset_index(drop=True)
    held_out = hold_out(tickets, TEMPORAL)

    assert held_out.cut == pd.Timestamp("2024-01-01") + pd.Timedelta(days=80)
    assert sorted(tickets["ticket_id"][held_out.test]) == sorted(f"T{i}" for i in range(80, 100))
    # T79 is labelled on the day of the cut: too late to be trained on
    assert sorted(tickets["ticket_id"][held_out.train]) == sorted(f"T{i}" for i in range(79))
    assert held_out.left_out == {"label_unknown_at_cut": 1}


def test_a_period_is_held_out():
    split = Split(SplitKind.temporal, test_from="2024-02-01", test_until="2024-02-11")
    held_out = hold_out(year(100), split)

    assert held_out.test.tolist() == list(range(31, 41))
    assert held_out.train.tolist() == list(range(30))
    assert held_out.left_out == {"label_unknown_at_cut": 1, "created_after_test": 59}


def test_training_may_be_of_the_last_days_alone():
    dates = {"test_from": "2024-02-01", "test_until": "2024-02-11"}
    held_out = hold_out(year(100), Split(SplitKind.temporal, **dates, train_days=10))

    assert held_out.train.tolist() == list(range(21, 30))
    assert held_out.test.tolist() == list(range(31, 41))
    assert held_out.left_out == {
        "label_unknown_at_cut": 1,
        "created_before_training": 21,
        "created_after_test": 59,
    }


@settings(deadline=None)
@given(desks(), st.sampled_from([0.1, 0.25, 0.5]), st.booleans())
def test_a_temporal_split_trains_on_what_was_known_at_the_cut(tickets, test_size, period):
    dates = {"test_from": "2024-01-10", "test_until": "2024-01-20"} if period else {}
    split = Split(SplitKind.temporal, test_size=test_size, **dates)
    try:
        held_out = hold_out(tickets, split)
    except InputError as error:
        assert "leaves no tickets" in str(error) or "no ticket has one" in str(error)  # noqa: PT017
        return
    train, test = tickets.iloc[held_out.train], tickets.iloc[held_out.test]

    assert not set(held_out.train) & set(held_out.test)
    assert len(train) + len(test) + sum(held_out.left_out.values()) == len(tickets)
    assert (train["created_at"] < held_out.cut).all()
    assert (train["label_known_at"] < held_out.cut).all()
    assert (test["created_at"] >= held_out.cut).all()
    if period:
        assert (test["created_at"] < pd.Timestamp("2024-01-20")).all()
    else:
        dated = tickets["created_at"].notna().sum()
        assert len(test) >= test_size * dated
        later = tickets["created_at"] > held_out.cut
        assert later.sum() < test_size * dated


@pytest.mark.parametrize(("breach", "said"), [(True, "met their target"), (False, "breached")])
def test_a_random_split_of_one_class_is_refused(breach, said):
    tickets = desk(np.arange(20), [breach] * 20)

    with pytest.raises(InputError, match=rf"only 0 of 20 labelled tickets {said}"):
        hold_out(tickets, RANDOM)


def test_an_empty_test_period_is_refused():
    with pytest.raises(InputError, match=r"test on \(of 100\).*split\.test_size"):
        hold_out(year(), Split(SplitKind.temporal, test_from="2031-01-01"))
    with pytest.raises(InputError, match=r"train on.*split\.test_size"):
        hold_out(year(), Split(SplitKind.temporal, test_from="2021-01-01"))


def test_a_temporal_split_needs_creation_times():
    with pytest.raises(InputError, match="split=random"):
        hold_out(year().assign(created_at=pd.NaT), TEMPORAL)


@settings(deadline=None)
@given(desks(), st.integers(2, 5), st.sampled_from([RANDOM, TEMPORAL]))
def test_folds_score_every_training_ticket_once(tickets, count, kind):
    training = tickets.dropna(subset="created_at").reset_index(drop=True)
    try:
        folds = make_folds(training, Split(kind.name, folds=count))
    except InputError:
        return
    created = training["created_at"]

    assert len(folds) == count
    scored = np.concatenate([fold.score for fold in folds])
    assert sorted(scored.tolist()) == list(range(len(training)))
    for fold in folds:
        assert not set(fold.fit) & set(fold.score)
        assert training["breach"].iloc[fold.fit].nunique() == 2
        if kind is TEMPORAL and fold.eligible:
            assert created.iloc[fold.fit].max() < created.iloc[fold.score].min()
    if kind is TEMPORAL:
        assert [fold.eligible for fold in folds] == [False] + [True] * (count - 1)
        assert created.iloc[folds[0].score].max() < created.iloc[folds[0].fit].min()
    else:
        assert all(fold.eligible for fold in folds)


def test_forward_folds_grow():
    folds = make_folds(year(100).sample(frac=1, random_state=1).reset_index(drop=True), TEMPORAL)

    assert [len(fold.fit) for fold in folds] == [80, 20, 40, 60, 80]
    assert [len(fold.score) for fold in folds] == [20] * 5


def test_tickets_of_one_moment_stay_together():
    training = desk(np.repeat([0, 1, 2, 3], [3, 9, 9, 9]), np.arange(30) % 2 == 0)
    folds = make_folds(training, Split(SplitKind.temporal, folds=3))

    # three blocks of ten would begin inside day 1 and inside day 2
    assert [len(fold.score) for fold in folds] == [3, 9, 18]


def test_too_few_moments_for_the_folds_are_refused():
    training = desk(np.repeat([0, 1], 15), np.arange(30) % 2 == 0)

    with pytest.raises(InputError, match=r"split\.folds=5: .*split=random"):
        make_folds(training, TEMPORAL)


def test_a_fold_without_both_classes_is_refused():
    training = desk(np.arange(30), np.arange(30) >= 20)

    with pytest.raises(InputError, match=r"split\.folds=5: the 6 tickets"):
        make_folds(training, TEMPORAL)


def test_random_folds_are_stratified():
    for fold in make_folds(year(90), RANDOM):
        assert np.count_nonzero(year(90)["breach"].iloc[fold.score]) == 6


@pytest.mark.parametrize("kind", [SplitKind.random, SplitKind.temporal])
def test_too_few_breaches_for_the_folds_are_refused(kind):
    training = desk(np.arange(50), np.arange(50) < 4)

    with pytest.raises(InputError, match=r"4 tickets of its rarer class.*split.folds=5"):
        make_folds(training, Split(kind))


def test_the_fingerprint_is_of_the_tickets_and_not_of_their_order(tickets):
    held_out = hold_out(tickets, RANDOM)
    print_of = fingerprint_split(tickets, held_out)
    upside_down = tickets[::-1].reset_index(drop=True)
    moved = type(held_out)(
        len(tickets) - 1 - held_out.train, len(tickets) - 1 - held_out.test, {}, None
    )
    swapped = type(held_out)(held_out.test, held_out.train, {}, None)

    assert fingerprint_split(upside_down, moved) == print_of
    assert fingerprint_split(tickets, swapped) != print_of
    assert fingerprint_split(tickets, hold_out(tickets, Split(SplitKind.random, seed=1))) != (
        print_of
    )
