"""How much of a run rests on imputed creation times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.checks.check import CheckResult, passed, warned
from slarisk.checks.leaks import score_alone
from slarisk.config import LabelKind
from slarisk.learning.features import names_made_of
from slarisk.stats.association import measure_auc
from slarisk.tickets.labels import make_clock

if TYPE_CHECKING:
    from slarisk.arrays import Bools
    from slarisk.checks.context import CheckContext

_DRAWS = 5
_MOST = 1000  # test tickets that are scored with each draw


def check_creation(context: CheckContext) -> CheckResult:
    """SR005: creation times are observed.

    If not, three figures say what they are worth: the share of labels that another draw may turn,
    the ROC AUC of the model when the creation times of the test tickets are drawn again, and that
    of the best part of the creation time alone.
    """
    if not context.imputed:
        return passed("Creation times come from the data.")
    detail = "Creation times are imputed: labels and hour-of-day effects are partly made up."
    if context.config.data.label.kind is LabelKind.target:
        detail += f" Another draw may turn {_share_undecided(context):.0%} of the labels."
    test = context.test.head(_MOST)  # in the order of the split, which is random without times
    drawn = measure_auc(test["breach"].to_numpy(), context.probability[:_MOST])
    again = [_score_again(context, test, number) for number in range(_DRAWS)]
    detail += f" ROC AUC {drawn:.3f}, and {np.mean(again):.3f} on average when they are drawn again"
    calendar = names_made_of("created_at", context.config.features)
    parts = {name: score_alone(context, name) for name in calendar}
    if parts:
        best = max(parts, key=parts.__getitem__)
        detail += f"; of the imputed {best} alone {parts[best]:.3f}"
    return warned(f"{detail}.")


def _share_undecided(context: CheckContext) -> float:
    """Measure the share of labelled tickets that breach with some of the draws and not others."""
    creation, tickets = context.config.data.creation, context.tickets.frame
    first, last = (
        _breaches(context, tickets, tickets["first_response_at"] - pd.Timedelta(hours=hours))
        for hours in (creation.low_hours, creation.high_hours)
    )
    return float((first != last).mean())


def _breaches(context: CheckContext, tickets: pd.DataFrame, created: pd.Series) -> pd.Series:
    """Mask of resolved tickets that would have breached if created at these times."""
    config = context.config
    clock = make_clock(tickets, config.data, config.sla, context.tickets.observed)
    return tickets["resolved_at"] > clock.pass_at(created, tickets["sla_target_hours"])


def _score_again(context: CheckContext, test: pd.DataFrame, number: int) -> float:
    """Draw the creation times of test tickets again, and with them their labels and features."""
    creation = context.config.data.creation
    rng = np.random.default_rng((creation.seed, number))
    hours = rng.integers(creation.low_hours, creation.high_hours + 1, len(test))
    created = test["first_response_at"] - pd.to_timedelta(hours, unit="h")
    breach: Bools = test["breach"].to_numpy(dtype=bool)
    if context.config.data.label.kind is LabelKind.target:
        breach = _breaches(context, test, created).to_numpy()
    return measure_auc(breach, context.learned.model.probability(test.assign(created_at=created)))
