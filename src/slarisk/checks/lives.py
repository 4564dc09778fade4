"""Whether open tickets are seen as they stood at the age at which they are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.checks.check import CheckResult, failed, passed
from slarisk.config import SplitKind
from slarisk.learning.features import make_features
from slarisk.learning.models import breach_scores, fit_pipeline
from slarisk.tickets.changes import CHANGES_OF, EVENTS, IDLE, name_so_far
from slarisk.tickets.contract import get_dates
from slarisk.tickets.fields import AS_OF
from slarisk.tickets.labels import find_ends, measure_age_and_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from slarisk.checks.context import CheckContext
    from slarisk.learning.landmarks import LandmarkRows
    from slarisk.learning.lives import Lives
    from slarisk.tickets.changes import FieldChanges

    Positions = NDArray[np.int64]

_LOOKED_AT = 80  # rows of either part, each against the events of its ticket
_SECOND = 1 / 3600  # hours


def check_lives(context: CheckContext) -> CheckResult:
    """SR025: a ticket at a landmark has what was known of it then, and is scored by others alone.

    The moment, whether the ticket was open, its changing fields and its counts are found again, one
    row at a time. No training row lies after the training period. The scores of one fold are
    computed again from a fit on all rows of the tickets of other folds.
    """
    lives = context.lives
    if lives is None:
        return passed("Tickets are looked at when they are created.")
    reasons = [*_list_late_rows(context, lives)]
    counted = 0
    for rows in (lives.training, lives.test):
        some = np.flatnonzero(~rows.at_creation)
        some = some[:: max(len(some) // _LOOKED_AT, 1)][:_LOOKED_AT]
        counted += len(some)
        reasons += _list_moments(context, rows, some)
        if context.tickets.changes is not None:
            reasons += _list_changes(context, rows, some, context.tickets.changes)
    reasons += _list_folds(context, lives)
    if reasons:
        return failed(f"{'; '.join(dict.fromkeys(reasons))}. The model looks ahead.")
    return passed(f"{counted} rows of open tickets, and the scores of one fold, found again.")


def _list_late_rows(context: CheckContext, lives: Lives) -> Iterator[str]:
    """Name training rows of a time that the training period does not have."""
    if context.config.split.name is not SplitKind.temporal:
        return
    cut = get_dates(context.test, "created_at").min()
    late = int((get_dates(lives.training.frame, AS_OF) > cut).sum())
    if late:
        yield f"{late:,} training rows are of a moment after the first test ticket"


def _list_moments(context: CheckContext, rows: LandmarkRows, some: Positions) -> Iterator[str]:
    """Name rows whose age is another at their moment, or whose ticket was closed by then."""
    frame, config = rows.frame.iloc[some].reset_index(drop=True), context.config
    if not len(frame):
        return
    as_of = get_dates(frame, AS_OF)
    age, _ = measure_age_and_target(frame, config.data, config.sla, as_of)
    if (np.abs(age - rows.age[some]) > _SECOND).any():
        yield "rows have another age at the moment at which they are looked at"
    if ((find_ends(frame) <= as_of) & rows.open[some]).any():
        yield "rows are of tickets that were resolved by then"


def _list_changes(
    context: CheckContext, rows: LandmarkRows, some: Positions, changes: FieldChanges
) -> Iterator[str]:
    """Name fields and counts that are others in the events up to the moment of a row."""
    place = pd.Index(context.tickets.frame["ticket_id"])
    features = context.config.features
    for row in some:
        seen = rows.frame.iloc[row]
        (ticket,) = place.get_indexer([seen["ticket_id"]])
        events = np.flatnonzero(changes.ticket == ticket)
        until = events[changes.written[events] <= np.datetime64(seen[AS_OF])]
        known = changes.values.iloc[until if len(until) else events[:1]]
        for name in known:
            last = known[name].iloc[-1]
            if last != seen[name] and not (pd.isna(last) and pd.isna(seen[name])):
                yield f"{name} has a value of another event"
        for entry in features.so_far:
            if entry == IDLE:
                continue
            if entry == EVENTS:
                count = len(known)
            else:
                values = known[entry.removeprefix(CHANGES_OF)].fillna("")
                count = int((values.to_numpy()[1:] != values.to_numpy()[:-1]).sum())
            if count != seen[name_so_far(entry)]:
                yield f"{name_so_far(entry)} counts other events"


def _list_folds(context: CheckContext, lives: Lives) -> Iterator[str]:
    """Name a fold whose scores are others if it is scored by a fit on other tickets alone."""
    rows, learned, config = lives.training, lives.learned, context.config
    fold = min((each for each in context.folds if each.eligible), key=lambda each: len(each.fit))
    fitted = np.isin(rows.ticket, fold.fit) & lives.fitted
    scored = np.flatnonzero(np.isin(rows.ticket, fold.score))
    frame, breach = rows.frame, rows.frame["breach"].to_numpy(dtype=bool)
    estimator = learned.model.pipeline["model"]
    params = {name: each[fitted] for name, each in lives.fit_params.items()}
    made = make_features(frame, config.features)
    again, once_more = (
        breach_scores(
            fit_pipeline(estimator, config.features, made[fitted], breach[fitted], params),
            made.iloc[scored],
        )
        for _ in range(2)
    )
    if not np.allclose(again, once_more, rtol=1e-6, atol=1e-9):
        return  # an estimator without a seed: nothing can be compared
    if not np.allclose(again, learned.score[scored], rtol=1e-6, atol=1e-9):
        yield "the scores of a fold rest on rows of its own tickets, or are not those of the model"
