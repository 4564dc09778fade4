"""A check with its verdict, and lists of checks."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

NO_CHECKS = "none"  # how a list of no checks is written


class Verdict(Enum):
    """Outcome of a check; a failed one blocks promotion."""

    ok = "ok"
    warning = "warning"
    failed = "failed"


@dataclass(frozen=True)
class Check:
    """One check with its stable code, its verdict, and a sentence with its figures."""

    code: str
    title: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class CheckResult:
    """Result of a check: its verdict, and a sentence with its figures."""

    verdict: Verdict
    detail: str


def passed(detail: str) -> CheckResult:
    """Return a finding without an objection."""
    return CheckResult(Verdict.ok, detail)


def warned(detail: str) -> CheckResult:
    """Return a finding that weakens the result."""
    return CheckResult(Verdict.warning, detail)


def failed(detail: str) -> CheckResult:
    """Return a finding that makes the result invalid."""
    return CheckResult(Verdict.failed, detail)


def list_codes(checks: Iterable[Check], verdict: Verdict) -> str:
    """List the codes of the checks with a verdict; ``NO_CHECKS`` if there are none."""
    return " ".join(check.code for check in checks if check.verdict is verdict) or NO_CHECKS


def tabulate_checks(checks: list[Check]) -> pd.DataFrame:
    """Write checks as a table."""
    rows = [(c.code, c.title, c.verdict.value, c.detail) for c in checks]
    return pd.DataFrame(rows, columns=["code", "check", "verdict", "detail"])


def read_checks(text: str) -> list[Check]:
    """Read checks as :func:`tabulate_checks` wrote them, as CSV."""
    table = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False)
    columns = table[["code", "check", "verdict", "detail"]].itertuples(index=False, name=None)
    return [Check(code, title, Verdict(word), detail) for code, title, word, detail in columns]


def list_problems(checks: Sequence[Check]) -> list[str]:
    """List the objections of the checks in sentences, failed checks first."""
    doubts = [check for check in checks if check.verdict is Verdict.failed]
    doubts += [check for check in checks if check.verdict is Verdict.warning]
    return [f"{check.verdict.value} {check.code}: {check.detail}" for check in doubts]
