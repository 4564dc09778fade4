"""Whether features predict the outcome too well: one alone, by being missing, or all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.stats.association import auc_error, code_values, measure_auc, rate_values

if TYPE_CHECKING:
    from slarisk.checks.context import CheckContext

_TOO_GOOD = 0.99
_ALONE, _NEARLY = 0.97, 0.95  # ROC AUC of one feature
_FEW = 10  # of a kind: with fewer, an area under the curve says nothing
_FEW_MISSING, _RARE = 20, 0.01  # tickets, and a share of them
_LIKELY, _TELLING = 0.5, 0.1  # differences of breach rates
_LEVEL = 0.001  # of a test, all features together


def check_too_good(context: CheckContext) -> CheckResult:
    """SR004: the model is not too good to be true."""
    auc = measure_auc(context.test_breach, context.probability)
    if auc >= _TOO_GOOD:
        return warned(
            f"ROC AUC {auc:.3f}. Too good to be true: look for a feature that is filled in "
            "afterwards."
        )
    return passed(f"ROC AUC {auc:.3f}.")


def check_single_features(context: CheckContext) -> CheckResult:
    """SR006: no feature separates the classes almost alone; a missing value counts as a value.

    The training breach rates of its values score the test tickets, so the relation with the risk
    need not be monotonic.
    """
    breach = context.test_breach
    if min(breach.sum(), (~breach).sum()) < _FEW:
        return passed(f"Fewer than {_FEW} test tickets of a kind: cannot be told.")
    aucs = {name: score_alone(context, name) for name in context.features}
    if not aucs:
        return passed("No feature but free text.")
    name, auc = max(aucs.items(), key=lambda each: each[1])
    sure = auc - 2 * auc_error(auc, breach)
    detail = f"The strongest feature, {name}, alone has a ROC AUC of {auc:.3f} on the test tickets"
    if auc >= _ALONE and sure >= _ALONE - 0.02:
        others = [each for each, value in aucs.items() if value >= _ALONE and each != name]
        also = f" (so have {', '.join(others)})" if others else ""
        return failed(
            f"{detail}{also}. It tells the outcome, so it is most likely filled in afterwards: "
            "find out when it becomes known, and correct data.known."
        )
    if auc >= _NEARLY and sure >= _NEARLY - 0.02:
        return warned(f"{detail}. Find out when it becomes known.")
    return passed(f"{detail}.")


def score_alone(context: CheckContext, name: str) -> float:
    """Measure the ROC AUC of a feature on the test tickets, by the rates of its training values."""
    known, new, levels = code_values(context.frame[name], context.test_frame[name])
    rates = rate_values(known, context.breach, levels)
    return measure_auc(context.test_breach, rates[new])


def check_missing_values(context: CheckContext) -> CheckResult:
    """SR007: whether a value is missing is hardly associated with the outcome."""
    objections, worst = [], 0.0
    fields = [name for name in context.fields if name in context.training]
    breach = np.concatenate([context.breach, context.test_breach])
    for name in fields:
        missing = np.concatenate(
            [part[name].isna().to_numpy() for part in (context.training, context.test)]
        )
        if min(missing.mean(), (~missing).mean()) < _RARE or missing.sum() < _FEW_MISSING:
            continue
        without, with_value = float(breach[missing].mean()), float(breach[~missing].mean())
        table = pd.crosstab(missing, breach)  # without a second row or column, its p-value is 1
        chance = float(chi2_contingency(table).pvalue)
        difference = abs(without - with_value)
        if difference >= _TELLING and chance * len(fields) < _LEVEL:
            worst = max(worst, difference)
            objections.append(
                f"{name} ({missing.mean():.1%} missing: {without:.0%} of these breached, of the "
                f"others {with_value:.0%})"
            )
    if not objections:
        return passed(f"None of {len(fields)} fields.")
    detail = f"The outcome goes with whether there is a value: {'; '.join(objections)}."
    if worst >= _LIKELY:
        return failed(f"{detail} A field that is filled in when a ticket breaches, or is closed.")
    return warned(f"{detail} Find out when it is filled in.")
