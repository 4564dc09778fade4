"""The cost of each ticket in dollars; the only place where tickets are priced."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from slarisk.config import UnknownPriority
from slarisk.decisions.costs import CostMatrix, cost_matrix
from slarisk.decisions.effect import make_effect

if TYPE_CHECKING:
    from slarisk.config import CostPolicy, DataPolicy, SlaPolicy


def price_tickets(
    tickets: pd.DataFrame,
    data: DataPolicy,
    sla: SlaPolicy,
    cost: CostPolicy,
    fallback: float | None = None,
) -> CostMatrix:
    """Price the four outcomes of each ticket, if it is escalated at creation or not at all.

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
    averted = make_effect(cost).at_creation
    costs = cost_matrix(breach.to_numpy(), escalation.to_numpy(), cost.charged, averted)
    costs = _use_own_costs(costs, tickets, data, unknown=fallback is not None)
    if "open_hours" not in tickets:
        return costs
    resolved = (tickets["open_hours"] == 0).to_numpy()  # on arrival: to escalate it does nothing
    return replace(
        costs,
        fp=np.where(resolved, costs.tn, costs.fp),
        tp=np.where(resolved, costs.fn, costs.tp),
    )


def _use_own_costs(
    costs: CostMatrix, tickets: pd.DataFrame, data: DataPolicy, unknown: bool
) -> CostMatrix:
    """Take the costs of the two other outcomes from the tickets, where the policy names fields.

    With ``unknown`` one that is missing or none stays what it was.
    """
    own = {}
    for outcome, computed in (("tp", costs.tp), ("tn", costs.tn)):
        if (field := getattr(data.costs, outcome)) is not None:
            dollars = read_dollars(tickets[field])
            kept = dollars.where(is_valid_price(dollars), computed) if unknown else dollars
            own[outcome] = kept.to_numpy(dtype=float)
    return replace(costs, **own)


def read_dollars(amounts: pd.Series) -> pd.Series:
    """Read the dollars of a cost field; what is no number is missing."""
    dollars: pd.Series = pd.to_numeric(amounts, errors="coerce").astype(float)
    return dollars


def is_valid_price(dollars: pd.Series) -> pd.Series:
    """Mask of amounts that can be a price: finite, and at least 0."""
    return dollars.between(0, np.inf, inclusive="left")


def price_breaches(tickets: pd.DataFrame, data: DataPolicy, sla: SlaPolicy) -> pd.Series:
    """Dollars lost if each ticket breaches: its own column, or the cost of its priority."""
    if data.costs.breach is not None:
        return read_dollars(tickets[data.costs.breach])
    default = sla.default_cost if uses_default(data, sla) else None
    return look_up_priority(tickets, data, sla, sla.costs, default)


def price_escalations(tickets: pd.DataFrame, data: DataPolicy, cost: CostPolicy) -> pd.Series:
    """Dollars an escalation of each ticket costs: its own column, or the policy's."""
    if data.costs.escalation is not None:
        return read_dollars(tickets[data.costs.escalation])
    return pd.Series(float(cost.escalation_cost), index=tickets.index)


def uses_default(data: DataPolicy, sla: SlaPolicy) -> bool:
    """Whether an unnamed priority gets the SLA's default target and cost."""
    return "priority" not in data.columns or sla.unknown_priority is UnknownPriority.default


def look_up_priority(
    tickets: pd.DataFrame,
    data: DataPolicy,
    sla: SlaPolicy,
    table: dict[Any, float],
    default: float | None,
) -> pd.Series:
    """Look each ticket's priority, or what it is an alias of, up in a table of the SLA."""
    fallback = math.nan if default is None else float(default)
    if "priority" not in tickets:
        return pd.Series(fallback, index=tickets.index)
    # a name is looked up once, however many tickets have it
    codes, names = pd.factorize(tickets["priority"])
    aliases = sla.aliases
    if "priority" in data.ignore_case:  # the names of the tickets are in lower case
        table = {name.lower(): value for name, value in table.items()}
        aliases = {alias.lower(): name.lower() for alias, name in aliases.items()}
    found = [table.get(aliases.get(name, name), fallback) for name in names]
    return pd.Series(np.array([*found, fallback], dtype=float)[codes], index=tickets.index)
