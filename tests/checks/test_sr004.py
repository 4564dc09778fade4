"""SR004: not too good to be true."""

from dataclasses import replace

import numpy as np
import pytest


@pytest.mark.parametrize(("wrong", "verdict"), [(0, "warning"), (1, "warning"), (20, "ok")])
def test_a_model_that_knows_everything_is_doubted(clean, with_probability, examine, wrong, verdict):
    """It puts so many of the tickets that met their target above all others."""
    probability = clean.test_breach.astype(float)
    probability[np.flatnonzero(~clean.test_breach)[:wrong]] = 2
    assert examine("SR004", with_probability(clean, probability)).verdict.value == verdict


def test_one_class_alone_says_nothing(clean, with_probability, examine):
    met = replace(clean, test=clean.test[~clean.test["breach"]])
    assert examine("SR004", with_probability(met, 0.5)).verdict.value == "ok"
