"""SR009: no category goes by the day on which a ticket ends."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

TICKETS, DAYS = 4_000, 120


@pytest.fixture(scope="module")
def judge(clean, examine):
    """Tickets that take up to three weeks, with a category that is made from its two days."""

    def judge_category(make, tickets=TICKETS, vouched=None):
        rng = np.random.default_rng(0)
        begun = rng.integers(0, DAYS, tickets)
        ended = begun + rng.integers(1, 21, tickets)
        category = make(begun, ended, rng)
        if isinstance(category, tuple):  # with ends of its own
            category, ended = category
        day = pd.Timestamp("2024-01-01")
        frame = pd.DataFrame(
            {
                "created_at": day + pd.to_timedelta(begun, unit="D"),
                "resolved_at": day + pd.to_timedelta(ended, unit="D"),
                "x": category,
            }
        )
        features = replace(clean.config.features, categorical=["x"])
        known = replace(clean.config.data.known, vouched=vouched or {})
        data = replace(clean.config.data, known=known)
        config = replace(clean.config, features=features, data=data)
        tickets = replace(clean.tickets, frame=frame)
        return examine("SR009", replace(clean, tickets=tickets, config=config))

    return judge_category


def on_duty(day, rng):
    """One of three who work in a fortnight, of twelve."""
    return (day // 14 * 3 + rng.integers(0, 3, len(day))) % 12


def test_who_is_on_duty_at_the_end_fails(judge):
    found = judge(lambda begun, ended, rng: on_duty(ended, rng).astype(str))
    assert found.verdict.value == "failed"
    assert "x (" in found.detail


def test_who_is_on_duty_at_creation_is_fine(judge):
    found = judge(lambda begun, ended, rng: on_duty(begun, rng).astype(str))
    assert found.verdict.value == "ok"


def test_what_has_nothing_to_do_with_either_day_is_fine(judge, read_figures):
    found = judge(lambda begun, ended, rng: rng.choice(list("abcdef"), len(begun)))
    assert found.verdict.value == "ok"
    categories, tickets = read_figures(found)
    assert categories == 1
    assert 0.5 * TICKETS < tickets < TICKETS  # those that began and ended in the common period


def test_what_ends_on_certain_weekdays_is_fine(judge):
    """Only what is urgent is worked on at weekends, and that is known at creation."""

    def make(begun, ended, rng):
        weekend = ended % 7 >= 5
        return np.where(weekend, "urgent", rng.choice(["a", "b", "c", "d", "e"], len(begun)))

    assert judge(make).verdict.value == "ok"


def test_one_value_that_ends_on_one_day_is_doubted_alone(judge):
    """Refunds are all paid on the first of the month: a reason of its own, so no accusation."""

    def make(begun, ended, rng):
        category = rng.choice(["refund", *"abcdefgh"], len(begun))
        refund = category == "refund"
        ended[refund] = (begun[refund] // 30 + 1) * 30
        return category

    assert judge(make).verdict.value == "warning"


def test_few_tickets_tell_nothing(judge):
    found = judge(lambda begun, ended, rng: on_duty(ended, rng).astype(str), tickets=250)
    assert found.verdict.value == "ok"


def do_batches(begun, ended, rng):
    """Tickets of eight types, given at creation; the work of each is done every 9 to 16 days."""
    kind = rng.integers(0, 8, len(begun))
    period = 9 + kind
    ended = (begun // period + 1) * period + kind
    return np.char.add("type ", kind.astype(str)), ended


def test_work_that_is_done_in_batches_by_type_does_not_fail(judge):
    """The type goes by the day of the end, whenever it was given: nobody can tell by the days."""
    found = judge(do_batches)
    assert found.verdict.value == "warning"
    assert "x (" in found.detail


def test_batches_of_some_types_hide_nobody_who_fills_in_the_rest(judge):
    def half(begun, ended, rng):
        kind, batched = do_batches(begun, ended, rng)
        batch = rng.random(len(begun)) < 0.3
        filled = on_duty(ended, rng).astype(str)
        return np.where(batch, kind, filled), np.where(batch, batched, ended)

    assert judge(half).verdict.value == "failed"


def test_a_field_that_is_vouched_for_is_named_and_not_judged(judge):
    def fill_in(begun, ended, rng):
        return on_duty(ended, rng).astype(str)

    found = judge(fill_in, vouched={"x": "given at the counter"})
    assert found.verdict.value == "ok"
    assert "x (given at the counter)" in found.detail
