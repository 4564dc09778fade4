"""SR012: no case in both parts."""

from dataclasses import replace

import numpy as np
import pytest

from slarisk.config import SplitKind


@pytest.fixture
def judge(clean, examine):
    """Tickets in cases of four, with a share of outcomes that are those of the case."""

    def judge_cases(share, split=SplitKind.random, known=()):
        rng = np.random.default_rng(0)
        parts, cases = {}, len(clean.training) // 4
        outcome = rng.random(cases) < 0.3
        for name, part in (("training", clean.training), ("test", clean.test)):
            case = rng.integers(0, cases, len(part))
            own = rng.random(len(part)) < 0.3
            breach = np.where(rng.random(len(part)) < share, outcome[case], own)
            parts[name] = part.assign(case=case.astype(str), breach=breach)
        data = replace(clean.config.data, columns=clean.config.data.columns | {"case": "Case"})
        data = replace(data, known=replace(data.known, resolved=[*known]))
        config = replace(clean.config, data=data, split=replace(clean.config.split, name=split))
        return examine("SR012", replace(clean, config=config, **parts))

    return judge_cases


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "failed"), (0.6, "warning"), (0.2, "ok")])
def test_the_verdict_goes_by_how_alike_a_case_is(judge, share, verdict):
    found = judge(share)
    assert found.verdict.value == verdict
    assert ("case (" in found.detail) == (verdict != "ok")


def test_cases_that_go_on_in_the_test_period_are_a_doubt(judge):
    assert judge(1.0, SplitKind.temporal).verdict.value == "warning"


def test_a_field_that_is_known_late_names_no_case(judge):
    assert judge(1.0, known=["case"]).verdict.value == "ok"
