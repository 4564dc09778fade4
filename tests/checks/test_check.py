from slarisk.checks.check import NO_CHECKS, Check, Verdict, list_codes


def test_codes_are_listed_by_verdict():
    words = ["ok", "warning", "failed", "warning"]
    checks = [Check(f"SR00{n}", "title", Verdict(word), "") for n, word in enumerate(words)]
    assert list_codes(checks, Verdict.warning) == "SR001 SR003"
    assert list_codes(checks, Verdict.failed) == "SR002"
    assert list_codes(checks[:1], Verdict.failed) == NO_CHECKS
