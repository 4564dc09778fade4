"""What a model does with the test tickets of a run, at creation or followed through their lives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slarisk.config import Landmarks, Moment
from slarisk.learning.context import add_context
from slarisk.learning.landmarks import lay_landmarks, stand_at_creation
from slarisk.learning.lives import follow_tickets, score_rows
from slarisk.model.bundle import ESCALATE
from slarisk.model.seen_tickets import as_scored

if TYPE_CHECKING:
    import pandas as pd

    from slarisk.arrays import Floats
    from slarisk.checks.check import Check
    from slarisk.config import TrainConfig
    from slarisk.decisions.costs import CostMatrix
    from slarisk.decisions.timing import TimedCosts
    from slarisk.learning.splits import HoldOut
    from slarisk.model.bundle import Bundle
    from slarisk.tickets.prepare import LabelledTickets


@dataclass(frozen=True, eq=False)
class ComparisonContext:
    """The config and the checks of a run, and the tickets it was trained and tested on."""

    config: TrainConfig
    tickets: LabelledTickets
    training: pd.DataFrame
    test: pd.DataFrame
    checks: list[Check]
    training_costs: CostMatrix
    test_costs: CostMatrix
    held_out: HoldOut


def decide_test_tickets(bundle: Bundle, context: ComparisonContext) -> pd.DataFrame:
    """Let a model decide about the test tickets as they were created: see ``Bundle.decide``."""
    # the history that travels with a champion ends before these tickets
    remembering, test = bundle.remember(context.tickets), context.test
    if bundle.manifest.moment is Moment.open:
        stood = stand_at_creation(context.tickets, bundle.manifest.features)
        test = stood.frame.iloc[context.held_out.test].reset_index(drop=True)
    return remembering.decide(as_scored(test, context.config.data))


def find_escalation_ages(
    bundle: Bundle, context: ComparisonContext, decided: pd.DataFrame, timed: TimedCosts
) -> Floats:
    """Find the age at which a model escalates each test ticket.

    Parameters
    ----------
    bundle : Bundle
    context : ComparisonContext
    decided : DataFrame
        Of :func:`decide_test_tickets`.
    timed : TimedCosts
        Of the test tickets.

    Returns
    -------
    array of shape (test tickets,)
        Hours; infinite where a ticket is never escalated. A model of tickets at creation escalates
        at creation or never.
    """
    manifest = bundle.manifest
    if manifest.moment is not Moment.open or manifest.stopping is None:
        return np.where(decided[ESCALATE].to_numpy(dtype=bool), 0.0, np.inf)
    stopping, data = manifest.stopping, context.config.data
    history = bundle.remember(context.tickets).history
    frame = add_context(context.tickets.frame, manifest.features, history)
    rows = lay_landmarks(
        replace(context.tickets, frame=frame),
        context.held_out.test,
        Landmarks(stopping.shares[1:], stopping.hours[1:]),
        manifest.features,
        data,
        context.config.sla,
    )
    return follow_tickets(manifest.policy, rows, score_rows(bundle.model, rows), timed, data)
