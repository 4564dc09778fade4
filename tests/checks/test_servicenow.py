"""A data policy for ServiceNow that lies about when three fields become known.

They are filled in on the first event of the export already, so a policy may well believe them.
"""

import runpy
from pathlib import Path

import pytest

from slarisk.checks.check import Verdict
from slarisk.checks.run import run_checks

ROOT = Path(__file__).resolve().parents[2]
LIE = runpy.run_path(str(ROOT / "experiments" / "checks-honesty" / "servicenow.py"))["lie"]

pytestmark = pytest.mark.real_data

CLOSING, CODE, PERSON = "closed_at", "closed_code", "resolved_by"
CAUGHT = {CLOSING: {"SR006", "SR008"}, CODE: {"SR009"}, PERSON: {"SR009"}}


@pytest.fixture(scope="module")
def check(gather):
    """The failed checks of a run whose policy lists some fields as known at creation."""

    def check_policy(path, *fields):
        small = ["model.n_estimators=50", f"data.path={path}"]
        context = gather(
            None, *small, model="gbm", data="servicenow", spoil=lambda config: LIE(config, fields)
        )
        return {
            check.code: check.detail
            for check in run_checks(context)
            if check.verdict is Verdict.failed
        }

    return check_policy


@pytest.mark.slow
def test_the_honest_policy_fails_no_check(check, real_data):
    assert check(real_data("incident_event_log.zip")) == {}


@pytest.mark.parametrize(
    "fields", [[CLOSING], [CODE], [PERSON], [CLOSING, CODE, PERSON]], ids=" ".join
)
@pytest.mark.slow
def test_a_lie_is_caught_and_named(check, real_data, fields):
    failed = check(real_data("incident_event_log.zip"), *fields)
    assert failed.keys() == set.union(*(CAUGHT[field] for field in fields))
    for field in fields:
        for code in CAUGHT[field]:
            assert field in failed[code]
