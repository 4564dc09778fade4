"""Capacity given out as tickets arrive: a place of the day has a price, by the hour and those left.

Who looks at a whole day's tickets before the places are given out knows what is still to come. On
arrival a ticket gets a place if it is expected to save more than the place would bring later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from slarisk.arrays import Bools, Floats
    from slarisk.decisions.facts import TicketFacts

_HOURS = 24


def learn_place_prices(saving: Floats, tickets: TicketFacts, per_day: int) -> Floats:
    """Learn what a place is worth, from the tickets of past days.

    Parameters
    ----------
    saving : array of shape (n,)
        Dollars that escalating each ticket is expected to save.
    tickets : TicketFacts
        Of the same n tickets.
    per_day : int
        Places of a day.

    Returns
    -------
    array of shape (24, per_day)
        By the hour of the day, and the places left less one: the dollars that the last of them is
        expected to bring after this hour.

    Notes
    -----
    By backward induction over the hours of the day. Within an hour prices do not change but with
    the places left; days without a ticket do not count.
    """
    days = len(np.unique(tickets.day))
    hours = _find_hours(tickets)
    order = _sort_by_arrival(tickets)
    order = order[saving[order] > 0]
    prices = np.zeros((_HOURS, per_day))
    value = np.zeros(per_day + 1)  # of so many places at the end of the hour
    for hour in range(_HOURS - 1, -1, -1):
        prices[hour] = np.diff(value)
        members = order[hours[order] == hour]
        gained = np.zeros(per_day + 1)
        for day in np.split(members, np.flatnonzero(np.diff(tickets.day[members])) + 1):
            left = np.arange(per_day + 1)
            for amount in saving[day]:
                taken = (left > 0) & (amount > prices[hour][left - 1])
                gained += taken * amount
                left = left - taken
            gained += value[left] - value
        value = value + gained / max(days, 1)
    return prices


def decide_on_arrival(saving: Floats, tickets: TicketFacts, prices: Floats) -> Bools:
    """Decide about tickets one by one, in the order in which they were created.

    A ticket is escalated if a place of its day is left and the ticket is expected to save more than
    the place's price. Of tickets created at once the first by id comes first.

    Parameters
    ----------
    saving : array of shape (n,)
        Dollars that escalating each ticket is expected to save.
    tickets : TicketFacts
        Of the same n tickets.
    prices : array of shape (24, places of a day)
        As :func:`learn_place_prices` gives them.

    Returns
    -------
    bool array of shape (n,)

    Examples
    --------
    A place is worth $30 until noon, and nothing later: who saves less waits in vain.

    >>> from slarisk.decisions.facts import TicketFacts
    >>> created = np.array(["2024-03-01T09", "2024-03-01T10", "2024-03-01T14"], "datetime64[us]")
    >>> tickets = TicketFacts(created, np.array(["a", "b", "c"], dtype=object))
    >>> prices = np.where(np.arange(24) < 12, 30.0, 0.0)[:, np.newaxis]
    >>> decide_on_arrival(np.array([20.0, 40.0, 25.0]), tickets, prices).tolist()
    [False, True, False]
    """
    hours, days = _find_hours(tickets), tickets.day
    chosen = np.zeros(len(saving), dtype=np.bool_)
    today, left = None, 0
    for place in _sort_by_arrival(tickets):
        if days[place] != today:
            today, left = days[place], prices.shape[1]
        if left and saving[place] > max(prices[hours[place], left - 1], 0):
            chosen[place] = True
            left -= 1
    return chosen


def _find_hours(tickets: TicketFacts) -> npt.NDArray[np.int64]:
    """Find the hour of the day of each creation; the first where it is not known."""
    created = tickets.created_at
    hours = created.astype("datetime64[h]").astype(np.int64) % _HOURS
    return np.where(np.isnat(created), 0, hours)


def _sort_by_arrival(tickets: TicketFacts) -> npt.NDArray[np.intp]:
    order: npt.NDArray[np.intp] = np.lexsort(
        (np.unique(tickets.ticket_id, return_inverse=True)[1], tickets.created_at)
    )
    return order
