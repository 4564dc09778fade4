"""SR010: no ticket in both parts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

KEPT = ("ticket_id", "created_at", "date_of_purchase", "priority")


def add_to_training(context, copies):
    training = pd.concat([context.training, copies], ignore_index=True)
    return replace(context, training=training)


def test_other_tickets_are_fine(clean, examine, read_figures):
    found = examine("SR010", clean)
    assert found.verdict.value == "ok"
    assert read_figures(found) == [0, len(clean.test), 0, 0]


@pytest.mark.parametrize(("copies", "verdict"), [(1, "warning"), (30, "failed")])
def test_a_copy_under_another_id_is_found_by_its_content(
    clean, examine, read_figures, copies, verdict
):
    copied = clean.test.head(copies).assign(ticket_id=[f"x{n}" for n in range(copies)])
    found = examine("SR010", add_to_training(clean, copied))
    assert found.verdict.value == verdict
    assert read_figures(found) == [copies, len(clean.test), 0, copies]


def test_an_id_is_the_same_however_it_is_written(clean, examine, read_figures):
    test = clean.test.assign(ticket_id="T-" + clean.test["ticket_id"].astype("str"))
    copied = test.head(20).assign(
        ticket_id=" t-" + clean.test["ticket_id"].head(20).astype("str"),
        created_at=test["created_at"].head(20) - pd.Timedelta(days=90),
        subject="Other",
    )
    found = examine("SR010", add_to_training(replace(clean, test=test), copied))
    assert found.verdict.value == "failed"
    assert read_figures(found) == [20, len(test), 20, 0]


def test_a_copy_with_shifted_dates_took_as_long(clean, examine):
    resolved = clean.test[clean.test["resolved_at"].notna()].head(20)
    shift = pd.Timedelta(days=90)
    dates = ["created_at", "first_response_at", "resolved_at"]
    copied = resolved.assign(
        ticket_id=[f"x{n}" for n in range(len(resolved))],
        **{name: resolved[name] - shift for name in dates},
    )
    assert examine("SR010", add_to_training(clean, copied)).verdict.value == "failed"


def test_tickets_that_are_alike_are_no_copies(clean, examine):
    """The same customer asks the same again: another time, and another course."""
    alike = clean.test.head(50).assign(
        ticket_id=[f"x{n}" for n in range(50)],
        created_at=clean.test["created_at"].head(50) - pd.Timedelta(days=90),
    )
    assert examine("SR010", add_to_training(clean, alike)).verdict.value == "ok"


def close_by_script(clean, rng):
    """A third of the tickets are of few words, and a script closes them within half a minute."""
    parts = []
    for tickets in (clean.training, clean.test):
        tickets = tickets.reset_index(drop=True)
        scripted = rng.random(len(tickets)) < 1 / 3
        closed = tickets["created_at"] + pd.to_timedelta(rng.integers(1, 31, len(tickets)), "s")
        words = [name for name in clean.config.data.known.created if name not in KEPT]
        changed = {name: tickets[name].mask(scripted, "same") for name in words if name in tickets}
        changed |= {
            name: tickets[name].mask(scripted, closed)
            for name in ("first_response_at", "resolved_at")
        }
        parts.append(tickets.assign(**changed))
    return replace(clean, training=parts[0], test=parts[1])


def test_equal_words_and_seconds_are_chance_where_a_script_closes_tickets(clean, examine):
    found = examine("SR010", close_by_script(clean, np.random.default_rng(0)))
    assert found.verdict.value == "ok"


def test_copies_stand_out_from_what_is_equal_by_chance(clean, examine):
    scripted = close_by_script(clean, np.random.default_rng(0))
    copied = scripted.test.head(40).assign(ticket_id=[f"x{n}" for n in range(40)])
    assert examine("SR010", add_to_training(scripted, copied)).verdict.value == "failed"
