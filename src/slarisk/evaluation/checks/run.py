"""All checks, by their codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slarisk.evaluation.checks.check import Check, Finding
from slarisk.evaluation.checks.choices import check_untouched
from slarisk.evaluation.checks.imputation import check_creation
from slarisk.evaluation.checks.leaks import (
    check_missing_values,
    check_single_features,
    check_too_good,
)
from slarisk.evaluation.checks.worth import check_numbers, check_threshold, check_value

if TYPE_CHECKING:
    from slarisk.evaluation.checks.evidence import Evidence


@dataclass(frozen=True)
class Rule:
    """What a code stands for; a code and its meaning never change. Each is in docs/checks.md."""

    title: str
    examine: Callable[[Evidence], Finding]


RULES = {
    "SR001": Rule("worth more than a trivial rule", check_value),
    "SR002": Rule("nothing chosen on the test tickets", check_untouched),
    "SR003": Rule("enough tickets for the intervals", check_numbers),
    "SR004": Rule("not too good to be true", check_too_good),
    "SR005": Rule("creation times observed", check_creation),
    "SR006": Rule("no feature tells the outcome alone", check_single_features),
    "SR007": Rule("missing values say nothing", check_missing_values),
    "SR019": Rule("the threshold is known", check_threshold),
}


def run_checks(evidence: Evidence) -> list[Check]:
    """Put a run to every check, in the order of the codes."""
    checks = []
    for code, rule in RULES.items():
        finding = rule.examine(evidence)
        checks.append(Check(code, rule.title, finding.verdict, finding.detail))
    return checks
