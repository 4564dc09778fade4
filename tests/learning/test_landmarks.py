"""Tickets at their landmarks: which rows there are, and what is in them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from slarisk.config import Landmarks
from slarisk.errors import InputError
from slarisk.learning.landmarks import (
    lay_landmarks,
    stand_at_creation,
    validate_open_moment,
)
from slarisk.learning.lives import spread_folds
from slarisk.learning.splits import Fold
from slarisk.tickets.fields import AGE, AS_OF, TARGET
from slarisk.tickets.prepare import prepare_tickets
from slarisk.training.open_tickets import draw_fitted
from slarisk.training.prepare import validate_feature_moments

HEADER = "Ticket ID,Created At,Time to Resolution,Ticket Priority,First Response Time,Ticket Status"
ROWS = [
    ("2024-03-01 08:00:00", "2024-03-01 15:30:00", "High"),  # 7.5 of 8 h
    ("2024-03-01 08:00:00", "2024-03-01 12:00:00", "High"),  # 4 h: over when half has passed
    ("2024-03-01 08:00:00", "2024-03-03 08:00:00", "Critical"),  # 48 of 4 h: late
    ("2024-03-01 08:00:00", "2024-03-01 08:00:00", "Low"),  # arrived resolved
]


@pytest.fixture
def lay_out(composed, tmp_path):
    """Lays out a table of (created, resolved, priority) at half of the target and at 90%."""

    def lay(rows, *overrides, cut=None):
        lines = [f"{n},{opened},{solved},{prio},," for n, (opened, solved, prio) in enumerate(rows)]
        (tmp_path / "t.csv").write_text("\n".join([HEADER, *lines]))
        config = composed("moment=open", *overrides)
        data = replace(config.data, path=str(tmp_path / "t.csv"))
        fields = ("ticket_id", "created_at", "resolved_at", "priority")
        data = replace(data, columns={name: data.columns[name] for name in fields}, dates=[])
        data = replace(data, known=replace(data.known, created=["created_at"], first_response=[]))
        data = replace(data, features=replace(data.features, text=[]))
        tickets = prepare_tickets(data, config.sla, config.cost)
        every = np.arange(len(tickets.frame))
        policies = (Landmarks([0.5, 0.9], [1.0]), config.features, data, config.sla)
        return lay_landmarks(tickets, every, *policies, cut=cut)

    return lay


def test_a_ticket_has_a_row_for_each_landmark_at_which_it_was_open(lay_out):
    rows = lay_out(ROWS)
    assert list(zip(rows.ticket.tolist(), rows.place.tolist(), strict=True)) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (2, 2), (3, 0)
    ]  # fmt: skip
    assert rows.age.tolist() == pytest.approx([0, 4, 7.2, 0, 0, 2, 3.6, 0])
    assert rows.open.tolist() == [True] * 7 + [False]
    assert rows.at_creation.sum() == len(rows.creation_frame) == 4
    frame = rows.frame
    assert frame[AGE].tolist() == rows.age.tolist()
    assert frame[TARGET].tolist() == [8, 8, 8, 8, 4, 4, 4, 72]
    hours = (frame[AS_OF] - frame["created_at"]).dt.total_seconds() / 3600
    assert hours.tolist() == pytest.approx(rows.age.tolist())


def test_no_row_is_of_a_moment_after_the_cut(lay_out):
    rows = lay_out(ROWS, cut=pd.Timestamp("2024-03-01 12:00:00"))
    assert rows.ticket.tolist() == [0, 1, 2, 2, 2, 3]  # 12:00 itself is after the cut


def test_ages_are_those_of_the_clock(lay_out):
    friday = [("2024-03-01 16:00:00", "2024-03-05 08:00:00", "High")]  # the desk closes at 18
    rows = lay_out(friday, "clock=business_hours")
    assert rows.age.tolist() == pytest.approx([0, 4, 7.2])
    moments = rows.frame[AS_OF].dt.strftime("%a %H:%M").tolist()
    assert moments == ["Fri 16:00", "Mon 10:00", "Mon 13:12"]


def test_all_rows_of_a_ticket_are_on_one_side_of_a_fold():
    ticket = np.array([0, 0, 0, 1, 2, 2])
    (fold,) = spread_folds([Fold(np.array([0, 1]), np.array([2]), eligible=False)], ticket)
    assert fold.fit.tolist() == [0, 1, 2, 3]
    assert fold.score.tolist() == [4, 5]
    assert not fold.eligible


def test_the_rows_that_are_fitted_are_creation_and_some_later(lay_out):
    rows = lay_out(ROWS)
    assert draw_fitted(rows, None, 0).tolist() == rows.open.tolist()
    for seed in range(5):
        some = draw_fitted(rows, 1, seed)
        assert some[rows.at_creation & rows.open].all()
        assert np.bincount(rows.ticket[some], minlength=4).tolist() == [2, 1, 2, 0]
        assert some.tolist() == draw_fitted(rows, 1, seed).tolist()


def test_a_log_is_laid_out_as_it_stood(composed, desk_log):
    config = composed("data=desk", "moment=open", search=desk_log)
    tickets = prepare_tickets(config.data, config.sla, config.cost, with_changes=True)
    every = np.arange(len(tickets.frame))
    policies = (config.landmarks, config.features, config.data, config.sla)
    rows = lay_landmarks(tickets, every, *policies)
    assert set(rows.frame["status"]) == {"New", "Working", "Waiting"}  # solved ones are not open
    late = ~rows.at_creation
    assert (rows.frame["events_so_far"][late] > 1).mean() > 0.2
    assert (rows.frame.loc[rows.at_creation, "events_so_far"] == 1).all()

    spoilt = replace(tickets.changes, values=tickets.changes.values.assign(status="Spoilt"))
    moved = lay_landmarks(replace(tickets, changes=spoilt), every, *policies)
    assert set(moved.frame["status"]) == {"Spoilt"}

    first = stand_at_creation(tickets, config.features).frame
    pd.testing.assert_frame_equal(rows.creation_frame[[*first]], first)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["data.creation.kind=imputed"], "moment=open"),
        (["sla.pause.minutes=priority"], r"sla\.pause\.minutes"),
        (["data.known.created=[ticket_id, created_at]"], r"data\.known\.created"),
        (["landmarks.shares=[0.5, 0.2]"], r"landmarks\.shares"),
        (["~data.columns.resolved_at"], "resolved_at"),
    ],
)
def test_what_tickets_cannot_be_followed_by_is_refused(composed, overrides, key):
    config = composed("moment=open", *overrides)
    with pytest.raises(InputError, match=key):
        validate_open_moment(config.data, config.sla, config.landmarks)


def test_fields_that_change_are_for_open_tickets_alone(composed, desk_log):
    config = composed("data=desk", "features.changing=[status]", search=desk_log)
    with pytest.raises(InputError, match="status"):
        validate_feature_moments(config)
    config = composed("features.now=[age]")
    with pytest.raises(InputError, match="moment=open"):
        validate_feature_moments(config)
    config = composed("data=desk", "moment=open", search=desk_log)
    validate_feature_moments(config)
    config.data.known.changing.remove("status")  # it would be read from a later event
    with pytest.raises(InputError, match=r"status .*data\.known\.changing"):
        validate_feature_moments(config)
