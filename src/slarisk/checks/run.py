"""All checks, by their codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slarisk.checks.calibration import check_calibration
from slarisk.checks.check import Check, CheckResult
from slarisk.checks.choices import check_test_untouched
from slarisk.checks.foresight import check_days, check_moment
from slarisk.checks.generalisation import (
    check_learning,
    check_overfitting,
    check_stability,
    check_transfer,
)
from slarisk.checks.imputation import check_creation
from slarisk.checks.label_health import check_label_health
from slarisk.checks.leaks import check_missing_values, check_single_features, check_too_good
from slarisk.checks.lives import check_lives
from slarisk.checks.look_ahead import check_context
from slarisk.checks.population import check_drift, check_population
from slarisk.checks.preparation import check_preparation, check_selection
from slarisk.checks.separation import check_cases, check_duplicates, check_order
from slarisk.checks.worth import check_numbers, check_threshold, check_value

if TYPE_CHECKING:
    from slarisk.checks.context import CheckContext


@dataclass(frozen=True)
class Rule:
    """A check of a code; a code and its meaning never change. docs/checks.md lists them."""

    title: str
    examine: Callable[[CheckContext], CheckResult]


RULES = {
    "SR001": Rule("worth more than a trivial rule", check_value),
    "SR002": Rule("nothing chosen on the test tickets", check_test_untouched),
    "SR003": Rule("enough tickets for the intervals", check_numbers),
    "SR004": Rule("not too good to be true", check_too_good),
    "SR005": Rule("creation times observed", check_creation),
    "SR006": Rule("no feature tells the outcome alone", check_single_features),
    "SR007": Rule("missing values say nothing", check_missing_values),
    "SR008": Rule("features known at the prediction moment", check_moment),
    "SR009": Rule("no feature goes by the day of the end", check_days),
    "SR010": Rule("no ticket in both parts", check_duplicates),
    "SR011": Rule("training comes before the test", check_order),
    "SR012": Rule("no case in both parts", check_cases),
    "SR013": Rule("no feature made from test tickets", check_preparation),
    "SR014": Rule("no feature picked on test tickets", check_selection),
    "SR015": Rule("the model learns from its training tickets", check_learning),
    "SR016": Rule("as good out of fold as in sample", check_overfitting),
    "SR017": Rule("as good on the test as out of fold", check_transfer),
    "SR018": Rule("stable over folds", check_stability),
    "SR019": Rule("the threshold is known", check_threshold),
    "SR020": Rule("probabilities calibrated", check_calibration),
    "SR021": Rule("no drift from training to test", check_drift),
    "SR022": Rule("the test tickets stand for their period", check_population),
    "SR023": Rule("ends of tickets were recorded as usual", check_label_health),
    "SR024": Rule("context comes from the past alone", check_context),
    "SR025": Rule("open tickets are seen as they stood", check_lives),
}


def run_checks(context: CheckContext) -> list[Check]:
    """Run every check, in the order of the codes."""
    findings = {code: rule.examine(context) for code, rule in RULES.items()}
    return [
        Check(code, RULES[code].title, finding.verdict, finding.detail)
        for code, finding in findings.items()
    ]
