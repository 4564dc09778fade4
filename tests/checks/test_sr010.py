"""SR010: no ticket in both parts."""

from dataclasses import replace

import pandas as pd
import pytest


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
