"""SR004: not too good to be true."""

from dataclasses import replace

import pytest


@pytest.mark.parametrize(
    ("metrics", "verdict"),
    [({"roc_auc": 0.989}, "ok"), ({"roc_auc": 0.99}, "warning"), ({}, "ok")],
)
def test_a_model_that_knows_everything_is_doubted(clean, examine, metrics, verdict):
    assert examine("SR004", replace(clean, metrics=metrics)).verdict.value == verdict
