"""The cost of each ticket in dollars; the only place where tickets are priced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.config import UnknownPriority
from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.errors import InputError
from slarisk.tickets.read import locate_row, quote_value

if TYPE_CHECKING:
    from slarisk.config import CostPolicy, DataPolicy, SlaPolicy


def price_tickets(
    tickets: pd.DataFrame,
    data: DataPolicy,
    sla: SlaPolicy,
    cost: CostPolicy,
    fallback: float | None = None,
) -> CostMatrix:
    """Price the four outcomes of each ticket.

    Parameters
    ----------
    tickets : DataFrame of n rows
        Typed tickets.
    data, sla, cost : policies
        Where a breach and an escalation have their prices from.
    fallback : float, optional
        Dollars that an unknown breach cost is taken to be; an unknown escalation cost is then that
        of the cost policy. Without it the costs of such a ticket are NaN.

    Returns
    -------
    CostMatrix of n tickets
    """
    breach = price_breaches(tickets, data, sla)
    escalation = price_escalations(tickets, data, cost)
    if fallback is not None:
        breach = breach.where(is_valid_price(breach), fallback)
        escalation = escalation.where(is_valid_price(escalation), cost.escalation_cost)
    return cost_matrix(breach.to_numpy(), escalation.to_numpy(), cost.charged, cost.effectiveness)


def is_valid_price(dollars: pd.Series) -> pd.Series:
    """Mask of amounts that can be a price: finite, and at least 0."""
    return dollars.between(0, np.inf, inclusive="left")


def price_breaches(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> pd.Series:
    """Dollars lost if each ticket breaches: its own column, or the cost of its priority."""
    if data.costs.breach is not None:
        return pd.to_numeric(tickets[data.costs.breach], errors="coerce").astype(float)
    default = sla.default_cost if uses_default(data, sla) else None
    return look_up_priority(tickets, sla, sla.costs, default)


def price_escalations(tickets: pd.DataFrame, data: DataPolicy, cost: CostPolicy) -> pd.Series:
    """Dollars an escalation of each ticket costs: its own column, or the policy's."""
    if data.costs.escalation is not None:
        return pd.to_numeric(tickets[data.costs.escalation], errors="coerce").astype(float)
    return pd.Series(float(cost.escalation_cost), index=tickets.index)


def uses_default(data: DataPolicy, sla: SlaPolicy) -> bool:
    """Whether an unnamed priority gets the SLA's default target and cost."""
    return "priority" not in data.columns or sla.unknown_priority is UnknownPriority.default


def look_up_priority(
    tickets: pd.DataFrame, sla: SlaPolicy, table: dict[str, float], default: float | None
) -> pd.Series:
    """Look each ticket's priority, or what it is an alias of, up in a table of the SLA."""
    fallback = math.nan if default is None else float(default)
    if "priority" not in tickets:
        return pd.Series(fallback, index=tickets.index)
    # a name is looked up once, however many tickets have it
    codes, names = pd.factorize(tickets["priority"])
    found = [table.get(sla.aliases.get(name, name), fallback) for name in names]
    return pd.Series(np.array([*found, fallback], dtype=float)[codes], index=tickets.index)


def validate_costs(
    costs: CostMatrix, breach: pd.Series, tickets: pd.DataFrame, data: DataPolicy
) -> None:
    """Raise if a cost is not a number of at least 0; a ticket without label may lack one.

    Parameters
    ----------
    costs : CostMatrix
        Of the tickets, without a fallback.
    breach : Series
        Their labels, NA where there is none.
    """
    for field, name, dollars in (
        (data.costs.breach, "breach cost", costs.fn),
        (data.costs.escalation, "escalation cost", costs.fp),
    ):
        if field is None:
            continue
        bad = ~is_valid_price(pd.Series(dollars, tickets.index))
        bad &= breach.notna() | tickets[field].notna()
        if bad.any():
            row = tickets[bad].iloc[0]
            raise InputError(
                f"{locate_row(row)}: column {data.columns[field]!r} is the {name} and "
                f"must be a number of at least 0, not {quote_value(row[field])} "
                f"({int(bad.sum()):,} rows)."
            )
