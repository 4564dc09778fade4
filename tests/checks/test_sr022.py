"""SR022: the test tickets stand for their period."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest


def with_unlabelled(context, count, created):
    unlabelled = pd.DataFrame({"created_at": [pd.Timestamp(created)] * count})
    return replace(context, tickets=replace(context.tickets, unlabelled=unlabelled))


def test_few_tickets_without_label_are_fine(clean, examine, read_figures):
    found = examine("SR022", clean)
    assert found.verdict.value == "ok"
    assert read_figures(found)[3] == round(100 * clean.test_breach.mean(), 1)


@pytest.mark.parametrize(("share", "verdict"), [(0.08, "ok"), (0.15, "warning")])
def test_many_tickets_without_label_are_a_doubt(clean, examine, read_figures, share, verdict):
    count = round(len(clean.test) * share / (1 - share))
    last = clean.test["created_at"].max()
    found = examine("SR022", with_unlabelled(clean, count, last))
    assert found.verdict.value == verdict
    assert read_figures(found)[:2] == [count, count + len(clean.test)]


def test_labelled_tickets_that_are_left_out_count(clean, examine, read_figures):
    tickets = replace(clean.tickets, unlabelled=clean.test.head(0))
    found = examine("SR022", replace(clean, test=clean.test.iloc[::2], tickets=tickets))
    assert found.verdict.value == "warning"
    missing = len(clean.test) - len(clean.test.iloc[::2])
    assert read_figures(found)[:2] == [missing, len(clean.test)]


def test_tickets_of_another_period_do_not_count(clean, examine):
    earlier = with_unlabelled(clean, 10_000, "2024-02-01")
    assert examine("SR022", earlier).verdict.value == "ok"
    until = replace(clean.config.split, test_until="2024-12-01")
    later = with_unlabelled(clean, 10_000, "2024-12-02")
    later = replace(later, config=replace(later.config, split=until))
    assert examine("SR022", later).verdict.value == "ok"


def test_a_random_split_takes_its_share_of_them(gather, sample, examine):
    context = gather(sample, "split=random")
    labelled = len(context.tickets.frame)
    found = examine("SR022", with_unlabelled(context, labelled, "2024-02-01"))
    assert found.verdict.value == "warning"
    assert "(50.0%)" in found.detail


def test_a_breach_rate_of_another_kind_is_a_doubt(clean, examine):
    rng = np.random.default_rng(0)
    often = clean.test.assign(breach=rng.random(len(clean.test)) < 0.6)
    found = examine("SR022", replace(clean, test=often))
    assert found.verdict.value == "warning"
    few = often.head(12)
    tickets = replace(clean.tickets, frame=few, unlabelled=few.head(0))
    few = replace(clean, test=few, tickets=tickets)
    assert examine("SR022", few).verdict.value == "ok"
