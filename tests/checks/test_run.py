import re
from pathlib import Path

from slarisk.checks.check import Verdict
from slarisk.checks.run import RULES, run_checks

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "checks.md"


def read_rows():
    """The rows of the table in the docs, by code."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in DOCS.read_text(encoding="utf-8").splitlines()
    ]
    return [row for row in cells if re.fullmatch(r"SR\d{3}", row[0]) and len(row) == 4]


def test_a_clean_run_passes_every_check_in_order(clean):
    checks = run_checks(clean)
    assert [check.code for check in checks] == sorted(RULES)
    assert {check.verdict for check in checks if check.code != "SR001"} == {Verdict.ok}
    assert all(check.detail.endswith(".") for check in checks)


def test_two_runs_on_the_same_tickets_agree(clean, gather, sample):
    assert run_checks(clean) == run_checks(gather(sample))


def test_every_code_is_explained_in_the_docs_under_its_title():
    assert [(code, title) for code, title, _, _ in read_rows()] == [
        (code, rule.title) for code, rule in RULES.items()
    ]
    assert all(len(meaning) > 12 and len(advice) > 12 for _, _, meaning, advice in read_rows())


def test_every_code_has_a_test_file_and_says_its_code():
    for code, rule in RULES.items():
        assert (HERE / f"test_{code.lower()}.py").exists()
        assert rule.examine.__doc__.startswith(f"{code}: ")


def test_every_kind_of_leakage_is_listed_in_the_docs():
    text = DOCS.read_text(encoding="utf-8")
    for kind in ("L1.1", "L1.2", "L1.3", "L1.4", "L2", "L3.1", "L3.2", "L3.3"):
        assert f"| {kind} " in text
