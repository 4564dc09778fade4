"""SR025 and SR002, put to runs of open tickets whose code looks ahead."""

from unittest.mock import patch

import numpy as np
import pytest

from slarisk.checks.run import RULES
from slarisk.learning import landmarks
from slarisk.learning.splits import Fold
from slarisk.tickets.changes import FieldChanges
from slarisk.training import fit, open_tickets
from slarisk.training.prepare import prepare

QUICK = ["evaluation.bootstrap_draws=50", "evaluation.threshold_draws=20", "cost=fading"]


@pytest.fixture
def examine(composed, desk_log):
    """Runs training on the log of the desk, and gives the verdict of a check on it."""

    def run(code, *overrides):
        config = composed("data=desk", "model=lr", "moment=open", *QUICK, *overrides,
                          search=desk_log)  # fmt: skip
        with patch.object(fit, "run_checks", return_value=[]) as checks:
            fit.fit_and_evaluate(config, prepare(config))
        (context,) = checks.call_args.args
        return RULES[code].examine(context).verdict.value

    return run


def see_the_next_event(patch):
    real = FieldChanges.find

    def find(changes, tickets, moments):
        found = real(changes, tickets, moments)
        later = np.minimum(found + 1, len(changes.ticket) - 1)
        return np.where(changes.ticket[later] == tickets, later, found)

    patch.setattr(FieldChanges, "find", find)


def take_the_last_value_there_is(patch):
    """As groupby().last() does, which skips what is missing and so looks at later events."""
    real = landmarks.take_standing

    def take(frame, ticket, moments, changes, rows, features):
        last = changes.values["team"].groupby(changes.ticket).transform("last")
        values = changes.values.assign(team=last)
        spoilt = FieldChanges(changes.first, changes.ticket, changes.written, values)
        return real(frame, ticket, moments, spoilt, rows, features)

    patch.setattr(landmarks, "take_standing", take)


def count_all_events(patch):
    real = FieldChanges.count_so_far

    def count(changes, events, entry):
        last = np.append(changes.first[1:], len(changes.ticket)) - 1
        return real(changes, last[changes.ticket[events]], entry)

    patch.setattr(FieldChanges, "count_so_far", count)


def split_rows_and_not_tickets(patch):
    def spread(folds, ticket):
        side = np.arange(len(ticket)) % len(folds)
        return [
            Fold(np.flatnonzero(side != place), np.flatnonzero(side == place), fold.eligible)
            for place, fold in enumerate(folds)
        ]

    patch.setattr(open_tickets, "spread_folds", spread)


def look_at_resolved_tickets(patch):
    real = open_tickets.lay_landmarks

    def lay(tickets, *arguments, **more):
        frame = tickets.frame.assign(open_hours=np.inf)
        spoilt = type(tickets)(**{**vars(tickets), "frame": frame})
        return real(spoilt, *arguments, **more)

    patch.setattr(open_tickets, "lay_landmarks", lay)


def look_later_than_said(patch):
    real = landmarks.take_standing

    def take(frame, ticket, moments, *arguments):
        created = frame["created_at"].to_numpy(dtype="datetime64[us]")[ticket]
        return real(frame, ticket, moments + (moments - created), *arguments)

    patch.setattr(landmarks, "take_standing", take)


def learn_thresholds_on_ineligible_tickets(patch):
    real = open_tickets.learn_lives

    def learn(lives, timed, breach, at, rows):
        return real(lives, timed, breach, at, lives.training.open)

    patch.setattr(open_tickets, "learn_lives", learn)


def test_a_clean_run_passes(examine):
    assert examine("SR025") == examine("SR002") == "ok"
    assert examine("SR001") != "failed"


@pytest.mark.parametrize(
    ("code", "plant"),
    [
        ("SR025", see_the_next_event),
        ("SR025", take_the_last_value_there_is),
        ("SR025", count_all_events),
        ("SR025", split_rows_and_not_tickets),
        ("SR025", look_at_resolved_tickets),
        ("SR025", look_later_than_said),
        ("SR002", learn_thresholds_on_ineligible_tickets),
    ],
)
def test_code_that_looks_ahead_is_caught(examine, monkeypatch, code, plant):
    plant(monkeypatch)
    assert examine(code) == "failed"


def test_a_model_at_creation_has_nothing_to_check(composed, desk_log):
    config = composed("data=desk", "model=lr", *QUICK, search=desk_log)
    with patch.object(fit, "run_checks", return_value=[]) as checks:
        fit.fit_and_evaluate(config, prepare(config))
    (context,) = checks.call_args.args
    assert RULES["SR025"].examine(context).verdict.value == "ok"
