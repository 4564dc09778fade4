"""Which tickets are settled at a moment, and what their labels were by then."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from slarisk.config import Label, LabelKind, Quarantine, Split, SplitKind, Weight
from slarisk.errors import InputError
from slarisk.learning.models import make_fit_params
from slarisk.learning.settling import find_settled, learn_late_after, weigh_known
from slarisk.learning.splits import hold_out, hold_out_tickets

START = pd.Timestamp("2024-01-01")
SETTLED = Split(SplitKind.temporal, test_from="2024-03-01", settled=True)
CUT = pd.Timestamp("2024-03-01")


def make_desk(count=2000, target=72.0, closing=None, seed=0):
    """Tickets of 90 days that take hours with a median of 48; with a target, or closed late.

    ``closing``: hours from the resolution to the label, for a label column without a target.
    """
    rng = np.random.default_rng(seed)
    created = START + pd.to_timedelta(np.sort(rng.uniform(0, 90 * 24, count)), unit="h")
    hours = rng.lognormal(np.log(48), 1.0, count)
    late = hours > target
    resolved = created + pd.to_timedelta(hours, unit="h")
    due = created + pd.to_timedelta(target, unit="h")
    if closing is None:
        known, passes = pd.Series(due).where(late, resolved), pd.Series(due)
    else:
        known = pd.Series(resolved + pd.to_timedelta(closing, unit="h"))
        passes = pd.Series(pd.NaT, index=range(count), dtype="datetime64[us]")
    return pd.DataFrame(
        {
            "ticket_id": [f"T{number}" for number in range(count)],
            "created_at": created,
            "priority": "Low",
            "resolved_at": resolved,
            "target_passes_at": passes,
            "label_known_at": known,
            "breach": late,
        }
    ).astype({"created_at": "datetime64[us]", "label_known_at": "datetime64[us]"})


def test_a_ticket_is_settled_when_its_target_has_passed():
    tickets = make_desk()
    found = find_settled(tickets, CUT, None)
    assert (found.settled == (tickets["created_at"] + pd.Timedelta("72h") < CUT)).all()
    assert found.late_after is None
    assert not found.assumed.any()  # past its target a label is known, one way or the other
    known = tickets["label_known_at"] < CUT
    assert known[found.settled].all()


def test_known_labels_are_those_of_the_quick_and_settled_ones_are_not():
    """Of the tickets that are too young, only those that ended in time are known."""
    tickets = make_desk(20_000)
    recent = tickets["created_at"].between(CUT - pd.Timedelta("60h"), CUT)
    known = recent & (tickets["label_known_at"] < CUT)
    assert tickets["breach"][known].mean() == 0
    assert tickets["breach"][recent].mean() > 0.3
    held_out = hold_out(tickets, SETTLED)
    assert not recent.iloc[held_out.train].any()
    assert held_out.left_out["not_settled_at_cut"] > 0
    assert "label_unknown_at_cut" not in held_out.left_out


def test_what_becomes_of_a_ticket_after_the_cut_changes_nothing():
    tickets = make_desk(closing=100.0)
    later = tickets["label_known_at"] >= CUT
    altered = tickets.assign(breach=tickets["breach"] ^ later)
    before, after = (hold_out(desk, SETTLED) for desk in (tickets, altered))
    assert before.train.tolist() == after.train.tolist()
    assert before.assumed.tolist() == after.assumed.tolist()
    assert len(before.assumed) > 0


def test_the_age_that_makes_a_ticket_late_is_learnt():
    """Labels come 100 h after the resolution, and a breach takes more than 72 h."""
    age = learn_late_after(make_desk(20_000, closing=100.0), CUT)
    assert 160 <= age <= 172
    found = find_settled(make_desk(20_000, closing=100.0), CUT, None)
    assert found.late_after == age
    tickets = make_desk(20_000, closing=100.0)
    assert tickets["breach"][found.assumed].mean() >= 0.95
    assert found.assumed.sum() > 100


def test_no_age_is_learnt_where_waiting_says_nothing():
    tickets = make_desk(closing=100.0)
    tickets["breach"] = np.random.default_rng(1).random(len(tickets)) < 0.5
    assert learn_late_after(tickets, CUT) is None
    assert not find_settled(tickets, CUT, None).settled.any()


def test_no_age_is_learnt_from_a_handful():
    assert learn_late_after(make_desk(60, closing=100.0), CUT) is None
    assert learn_late_after(make_desk(0, closing=100.0), CUT) is None


def test_an_age_that_held_only_at_first_is_not_learnt():
    """It is validated on the later half."""
    tickets = make_desk(20_000, closing=100.0)
    later = tickets["created_at"] > tickets["created_at"].quantile(0.4)
    slow = tickets["label_known_at"] - tickets["created_at"] > pd.Timedelta("150h")
    tickets.loc[later & slow, "breach"] = False
    assert learn_late_after(tickets, CUT) is None


def test_an_age_that_is_given_is_taken():
    tickets = make_desk(closing=100.0)
    label = Label(kind=LabelKind.column, late_if_open_after=200.0)
    held_out = hold_out(tickets, SETTLED, label)
    train = tickets.iloc[held_out.train]
    assert (train["created_at"] < CUT - pd.Timedelta("200h")).all()
    late = tickets.iloc[held_out.assumed]
    assert (late["label_known_at"] >= CUT).all()
    assert (held_out.assumed_at - late["created_at"] == pd.Timedelta("200h")).all()


def test_assumed_labels_are_those_that_training_sees(labelled, compose):
    tickets = make_desk(closing=100.0)
    tickets["breach"] &= tickets["created_at"] < CUT - pd.Timedelta("20D")
    given = replace(labelled, frame=tickets, observed=pd.Timestamp("2024-06-01"))
    data = compose("data.label.kind=column", "data.label.late_if_open_after=200").data
    seen, held_out = hold_out_tickets(given, data, SETTLED)
    late = held_out.assumed
    assert seen.assumed == tuple(late)
    assert seen.frame["breach"].iloc[late].all()
    assert (seen.frame["label_known_at"].iloc[held_out.train] < CUT).all()
    others = np.setdiff1d(np.arange(len(tickets)), late)
    assert seen.frame["breach"].iloc[others].equals(tickets["breach"].iloc[others])
    assert not tickets["breach"].iloc[late].all()  # the tickets that were given stay as they are


def test_test_tickets_are_settled_when_the_export_is_taken():
    tickets = make_desk()
    observed = tickets["created_at"].max()
    held_out = hold_out(tickets, SETTLED, observed=observed)
    assert (tickets["target_passes_at"].iloc[held_out.test] < observed).all()
    young = (tickets["created_at"] >= CUT) & (tickets["target_passes_at"] >= observed)
    assert held_out.left_out["not_settled_at_export"] == young.sum() > 0


def test_every_ticket_is_accounted_for():
    tickets = make_desk(closing=100.0)
    label = Label(quarantine=[Quarantine(["2024-02-01", "2024-02-05"], "no closing")])
    observed = tickets["created_at"].max()
    held_out = hold_out(tickets, SETTLED, label, observed)
    parts = len(held_out.train) + len(held_out.test) + sum(held_out.left_out.values())
    assert parts == len(tickets)


def test_where_nothing_is_settled_the_known_ones_are_weighed():
    tickets = make_desk(target=24.0 * 80)
    quick = np.arange(len(tickets)) % 3 > 0
    tickets["label_known_at"] = tickets["created_at"] + pd.to_timedelta(
        np.where(quick, 24, 24 * 20), unit="h"
    )
    tickets["breach"] = ~quick
    held_out = hold_out(tickets, SETTLED)
    assert held_out.weighted
    assert len(held_out.notes) == 1
    assert "Low 0%" in held_out.notes[0]
    known = (tickets["created_at"] < CUT) & (tickets["label_known_at"] < CUT)
    assert held_out.train.tolist() == np.flatnonzero(known).tolist()
    weights = weigh_known(tickets, held_out.train, CUT)
    slow = tickets["breach"].iloc[held_out.train].to_numpy()
    # of 60 days, labels of 20 days are seen for 40 of them, and those of a day for 59
    assert weights[slow] == pytest.approx(60 / 40, rel=0.03)
    assert weights[~slow] == pytest.approx(60 / 59, rel=0.03)
    share = np.average(slow, weights=weights)
    assert share == pytest.approx(1 / 3, abs=0.02)
    assert slow.mean() < 0.28


def test_weights_reach_the_estimator_or_are_refused(labelled):
    costs = labelled.costs
    weights = np.ones(len(costs))
    given = make_fit_params(LogisticRegression(), costs, Weight.known, weights)
    assert given["sample_weight"] is weights
    both = make_fit_params(LogisticRegression(), costs, Weight.stakes, 2 * weights)
    stakes = make_fit_params(LogisticRegression(), costs, Weight.stakes)
    assert np.allclose(both["sample_weight"], 2 * stakes["sample_weight"])
    with pytest.raises(InputError, match=r"split\.settled"):
        make_fit_params(KNeighborsClassifier(), costs, Weight.none, weights)


def test_quarantined_tickets_neither_train_nor_test():
    tickets = make_desk()
    periods = [
        Quarantine(["2024-02-01", "2024-02-05"], "no closing"),
        Quarantine(["2024-03-10", "2024-03-12"], "no closing"),
    ]
    for split in (SETTLED, replace(SETTLED, settled=False), Split(SplitKind.random)):
        held_out = hold_out(tickets, split, Label(quarantine=periods))
        used = tickets["created_at"].iloc[[*held_out.train, *held_out.test]]
        assert not used.between("2024-02-01", "2024-02-05", inclusive="left").any()
        assert not used.between("2024-03-10", "2024-03-12", inclusive="left").any()
        assert held_out.left_out["in_quarantine"] > 0


def test_a_quarantine_that_leaves_too_little_is_not_kept():
    label = Label(quarantine=[Quarantine(["2024-01-05", "2024-03-10"], "no closing")])
    tickets = make_desk()
    held_out = hold_out(tickets, SETTLED, label)
    without = hold_out(tickets, SETTLED)
    assert held_out.train.tolist() == without.train.tolist()
    assert len(held_out.notes) == 1
    tested = tickets["created_at"].iloc[held_out.test]
    assert (tested >= pd.Timestamp("2024-03-10")).all()


@pytest.mark.parametrize("created", [["2024-02-01"], ["2024-02-05", "2024-02-01"]])
def test_a_quarantine_is_two_dates_in_order(created):
    with pytest.raises(InputError, match=r"label\.quarantine\[0\]\.created"):
        hold_out(make_desk(), SETTLED, Label(quarantine=[Quarantine(created, "why")]))
