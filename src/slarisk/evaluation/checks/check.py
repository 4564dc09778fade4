"""A check, and how it came out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NO_CHECKS = "none"  # how a list of no checks is written


class Verdict(Enum):
    """How a check came out; a failed one blocks promotion."""

    ok = "ok"
    warning = "warning"
    failed = "failed"


@dataclass(frozen=True)
class Check:
    """One check with its stable code, verdict and figures in words."""

    code: str
    title: str
    verdict: Verdict
    detail: str


@dataclass(frozen=True)
class Finding:
    """What a check found: its verdict, and the figures in words."""

    verdict: Verdict
    detail: str


def fine(detail: str) -> Finding:
    """Find nothing to object to."""
    return Finding(Verdict.ok, detail)


def doubt(detail: str) -> Finding:
    """Find what weakens a result."""
    return Finding(Verdict.warning, detail)


def invalid(detail: str) -> Finding:
    """Find what makes a result worth nothing."""
    return Finding(Verdict.failed, detail)


def list_codes(checks: Iterable[Check], verdict: Verdict) -> str:
    """List the codes of the checks with a verdict, or say that there is none."""
    return " ".join(check.code for check in checks if check.verdict is verdict) or NO_CHECKS
