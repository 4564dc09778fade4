"""All that an analysis found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slarisk.analysis.breakdowns import Breakdown
    from slarisk.analysis.changes import Changes, Period
    from slarisk.analysis.drivers import Driver
    from slarisk.analysis.escalation import Escalation
    from slarisk.analysis.groups import Groups
    from slarisk.analysis.interventions import BestSet, Ranked
    from slarisk.analysis.scenarios import LeftOut, Simulated
    from slarisk.analysis.trend import Hours, Kpi, Trend
    from slarisk.config import AnalyzeConfig


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that an analysis found out; None where the data does not tell.

    Attributes
    ----------
    rows_in : int
        Tickets read: those labelled and those dropped.
    dropped : dict of str to int
        Tickets without a label, by reason.
    period : Period
        The labelled tickets in all.
    rate_low, rate_high : float
        The Wilson interval of their breach rate.
    unpriced : int
        Breaches that cost nothing under the SLA policy.
    breakdowns : dict of tuple of str to Breakdown
        By the names of their fields, with every segment, however small.
    escalation : Escalation or str
        Or why nothing can be said of the model.
    """

    config: AnalyzeConfig
    rows_in: int
    dropped: dict[str, int]
    period: Period
    rate_low: float
    rate_high: float
    unpriced: int
    kpi: Kpi | None
    breakdowns: dict[tuple[str, ...], Breakdown]
    hours: list[Hours]
    trend: Trend | None
    drivers: list[Driver]
    groups: Groups | None
    scenarios: list[Simulated | LeftOut]
    ranked: Ranked | None
    best_set: BestSet | None
    escalation: Escalation | str
    changes: Changes | None
