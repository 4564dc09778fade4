"""Eight kinds of leakage, planted one by one: each is named, and not without it."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from slarisk.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PLANTS = runpy.run_path(str(ROOT / "experiments" / "checks-honesty" / "leaks.py"))
LEAKS, VARIANTS = PLANTS["LEAKS"], PLANTS["VARIANTS"]


def spoil_by(plant):
    def spoil(table, config):
        setup = PLANTS["Setup"](table, config, np.random.default_rng(3))
        plant(setup)
        return setup.table, setup.estimator

    return spoil


def test_the_eight_kinds_are_complete():
    kinds = ["L1.1", "L1.2", "L1.3", "L1.4", "L2", "L3.1", "L3.2", "L3.3"]
    assert [leak.kind for leak in LEAKS] == kinds


@pytest.mark.parametrize("leak", [*LEAKS, *VARIANTS], ids=lambda leak: f"{leak.kind} {leak.words}")
@pytest.mark.slow
def test_a_planted_leak_is_caught(gather, sample, examine, leak):
    planted = gather(sample, *leak.overrides, spoil=spoil_by(leak.plant))
    assert examine(leak.code, planted).verdict.value == leak.verdict
    clean = gather(sample, *leak.overrides)
    assert examine(leak.code, clean).verdict.value == "ok"


def test_a_model_that_was_fitted_before_is_refused(gather, sample):
    with pytest.raises(InputError, match="LogisticRegression was fitted before"):
        gather(sample, spoil=spoil_by(PLANTS["freeze_model"]))
