import pytest

from slarisk.evaluation.checks import NO_CHECKS, Verdict, list_codes, run_checks

GOOD = {
    "value_over_baseline": 100.0,
    "value_over_baseline_low": 1.0,
    "value_over_baseline_high": 200.0,
    "test_tickets": 100.0,
    "breach_rate": 0.3,
    "roc_auc": 0.8,
}


def verdicts(optimistic=False, imputed=False, **metrics):
    checks = run_checks(GOOD | metrics, "priority", optimistic, imputed)
    return {check.code: check for check in checks}


def test_a_sound_run_passes_every_check():
    checks = verdicts()
    assert list(checks) == ["SR001", "SR002", "SR003", "SR004", "SR005"]
    assert {check.verdict for check in checks.values()} == {Verdict.ok}


@pytest.mark.parametrize(
    ("code", "verdict", "doubt"),
    [
        ("SR001", Verdict.warning, {"value_over_baseline_low": 0.0}),
        ("SR001", Verdict.warning, {"value_over_baseline": 0.0, "value_over_baseline_low": -5.0}),
        ("SR002", Verdict.failed, {"optimistic": True}),
        ("SR003", Verdict.warning, {"breach_rate": 0.29}),
        ("SR003", Verdict.warning, {"breach_rate": 0.71}),
        ("SR004", Verdict.warning, {"roc_auc": 0.99}),
        ("SR005", Verdict.warning, {"imputed": True}),
    ],
)
def test_each_doubt_has_a_check_of_its_own(code, verdict, doubt):
    checks = verdicts(**doubt)
    assert {c: each.verdict for c, each in checks.items() if each.verdict is not Verdict.ok} == {
        code: verdict
    }


def test_the_value_is_told_apart_from_luck_and_loss():
    luck = verdicts(value_over_baseline_low=-5.0)["SR001"].detail
    assert "Saves $100 [-$5 to $200] against 'priority'" in luck
    assert "luck" in luck
    loss = verdicts(value_over_baseline=-50.0, value_over_baseline_low=-80.0)["SR001"].detail
    assert "-$50" in loss
    assert "Use the rule 'priority'" in loss


def test_a_test_set_of_one_class_has_no_auc_and_is_told():
    metrics = {name: value for name, value in GOOD.items() if name != "roc_auc"}
    checks = run_checks(metrics | {"breach_rate": 0.0}, "never", False, False)
    assert {check.code for check in checks if check.verdict is Verdict.warning} == {"SR003"}


def test_codes_are_listed_by_verdict():
    checks = list(verdicts(optimistic=True, imputed=True, roc_auc=1.0).values())
    assert list_codes(checks, Verdict.warning) == "SR004 SR005"
    assert list_codes(checks, Verdict.failed) == "SR002"
    assert list_codes(checks[:1], Verdict.failed) == NO_CHECKS
