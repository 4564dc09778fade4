"""What a reader should be warned of before believing a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from slarisk.decisions.costs import dollars

NO_CHECKS = "none"  # how a list of no checks is written
_FEW = 30  # below about this many of a kind, a percentile bootstrap interval is too narrow
_TOO_GOOD = 0.99


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


def list_codes(checks: Iterable[Check], verdict: Verdict) -> str:
    """List the codes of the checks with a verdict, or say that there is none."""
    return " ".join(check.code for check in checks if check.verdict is verdict) or NO_CHECKS


def run_checks(
    metrics: Mapping[str, float], best_baseline: str, optimistic: bool, imputed: bool
) -> list[Check]:
    """Check the figures of a run.

    Parameters
    ----------
    metrics : mapping
        The metrics of the run, on the test tickets.
    best_baseline : str
        The baseline the value is measured against.
    optimistic : bool
        Whether something was chosen on the test tickets.
    imputed : bool
        Whether creation times are imputed.
    """
    return [
        _check_value(metrics, best_baseline),
        _check_untouched(optimistic),
        _check_numbers(metrics),
        _check_too_good(metrics),
        _check_imputed(imputed),
    ]


def _check_value(metrics: Mapping[str, float], best_baseline: str) -> Check:
    value, low = metrics["value_over_baseline"], metrics["value_over_baseline_low"]
    high = metrics["value_over_baseline_high"]
    figures = f"{dollars(value)} [{dollars(low)} to {dollars(high)}] against {best_baseline!r}"
    if low > 0:
        detail = f"Saves {figures}."
        return Check("SR001", "worth more than a trivial rule", Verdict.ok, detail)
    if value > 0:
        detail = f"Saves {figures}: the interval holds 0, so this may be luck."
    else:
        detail = f"Adds nothing: {figures}. Use the rule {best_baseline!r} instead."
    return Check("SR001", "worth more than a trivial rule", Verdict.warning, detail)


def _check_untouched(optimistic: bool) -> Check:
    title = "nothing chosen on the test tickets"
    if optimistic:
        detail = "The threshold was picked on the test tickets; the loss is too good."
        return Check("SR002", title, Verdict.failed, detail)
    return Check("SR002", title, Verdict.ok, "Test tickets were used once, at the end.")


def _check_numbers(metrics: Mapping[str, float]) -> Check:
    tickets = int(metrics["test_tickets"])
    breached = round(metrics["breach_rate"] * tickets)
    fewest = min(breached, tickets - breached)
    verdict = Verdict.ok if fewest >= _FEW else Verdict.warning
    detail = f"{tickets:,} test tickets, {breached:,} breached."
    if verdict is Verdict.warning:
        detail += f" With fewer than {_FEW} of a kind the intervals are too narrow."
    return Check("SR003", "enough tickets for the intervals", verdict, detail)


def _check_too_good(metrics: Mapping[str, float]) -> Check:
    auc = metrics.get("roc_auc", float("nan"))
    verdict = Verdict.warning if auc >= _TOO_GOOD else Verdict.ok
    detail = f"ROC AUC {auc:.3f}."
    if verdict is Verdict.warning:
        detail += " Too good to be true: look for a feature that is filled in afterwards."
    return Check("SR004", "not too good to be true", verdict, detail)


def _check_imputed(imputed: bool) -> Check:
    title = "creation times observed"
    if imputed:
        detail = "Creation times are imputed: labels and hour-of-day effects are partly made up."
        return Check("SR005", title, Verdict.warning, detail)
    return Check("SR005", title, Verdict.ok, "Creation times come from the data.")
