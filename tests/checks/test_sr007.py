"""SR007: missing values say nothing of the outcome."""

from dataclasses import replace

import numpy as np
import pytest


def with_gaps(context, share_breached, share_met):
    """Leave out products, more often of the ones or of the others."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, part in (("training", context.training), ("test", context.test)):
        share = np.where(part["breach"], share_breached, share_met)
        kept = part["product"].where(rng.random(len(part)) >= share)
        parts[name] = part.assign(product=kept)
    return replace(context, **parts)


@pytest.mark.parametrize(
    ("breached", "met", "verdict"),
    [
        (0.1, 0.1, "ok"),
        (0.2, 0.1, "warning"),
        (0.1, 0.2, "warning"),
        (0.8, 0.02, "failed"),
        (0.005, 0.0, "ok"),  # too rare to matter
    ],
)
def test_the_verdict_goes_by_the_difference_of_the_rates(clean, examine, breached, met, verdict):
    found = examine("SR007", with_gaps(clean, breached, met))
    assert found.verdict.value == verdict
    assert ("product (" in found.detail) == (verdict != "ok")


def test_rates_are_those_of_both_parts(clean, examine):
    gappy = with_gaps(clean, 0.4, 0.1)
    missing = np.concatenate([gappy.training["product"].isna(), gappy.test["product"].isna()])
    breach = np.concatenate([gappy.breach, gappy.test_breach])
    detail = examine("SR007", gappy).detail
    assert f"{missing.mean():.1%} missing: {breach[missing].mean():.0%} of these breached" in detail
