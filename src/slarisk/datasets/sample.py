"""The bundled sample: one year of a made-up support desk, with the true risk of every ticket.

The desk is synthetic, so the probability that a ticket breaches its SLA is known exactly, which no
real export can offer. A model is judged against it as *regret*: how much of the money that could
be saved it leaves on the table.

How a ticket lives:

1. It arrives: by hour, weekday and season, or in the burst of an incident.
2. It waits: nobody starts it before the desk opens, unless it is urgent enough for someone on duty.
3. It is worked on: longer for difficult products, slow queues and awkward requests.

Steps 2 and 3 give a median resolution time that depends only on what the ticket shows at creation.
The resolution time is lognormal around that median, hence
``P(resolution > target) = Phi(ln(median / target) / sigma)``.

``python -m slarisk.datasets.sample`` writes the two bundled files into ``data/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from slarisk.arrays import Bools, Floats, Integers

Times = NDArray[np.datetime64]

TICKETS_FILE: Final = "sample_tickets.csv"
TRUTH_FILE: Final = "sample_truth.csv"

TICKET_COLUMNS: Final = (
    "Ticket ID",
    "Customer Name",
    "Customer Email",
    "Customer Age",
    "Customer Gender",
    "Product Purchased",
    "Date of Purchase",
    "Ticket Type",
    "Ticket Subject",
    "Ticket Status",
    "Ticket Priority",
    "Ticket Channel",
    "Created At",
    "First Response Time",
    "Time to Resolution",
    "Customer Satisfaction Rating",
)

# --- The period -----------------------------------------------------------------------------------

PERIOD_START: Final = np.datetime64("2024-01-01T00:00:00")
DAYS: Final = 366
# The export is one look at a live desk: whatever happens later is blank.
EXPORTED_AT: Final = np.datetime64("2024-12-31T23:59:59")
# The desk's calendar runs past the export, because its last tickets wait into the new year.
CALENDAR_DAYS: Final = DAYS + 7
# Staffed and used like Sundays. 2025-01-01 matters to tickets of New Year's Eve.
HOLIDAYS: Final = ("2024-01-01", "2024-04-01", "2024-12-25", "2024-12-26", "2025-01-01")

# --- Arrivals -------------------------------------------------------------------------------------

# Relative ticket volume per hour of the day: a late-morning peak, a lunch dip, quiet nights.
VOLUME_BY_HOUR: Final = (
    *(6, 4, 3, 2, 3, 5, 12, 28, 62, 92, 100, 96),  # 00-11
    *(78, 82, 90, 86, 76, 62, 44, 34, 28, 24, 17, 10),  # 12-23
)
# Monday to Sunday: Monday carries what went wrong over the weekend.
VOLUME_BY_WEEKDAY: Final = (1.18, 1.08, 1.0, 0.98, 0.92, 0.42, 0.34)
# More customers in December than in January. Staff grows with them, so no backlog follows from it.
GROWTH_OVER_PERIOD: Final = 0.25


@dataclass(frozen=True)
class Incident:
    """An outage of one product that floods the desk for a few days.

    Attributes
    ----------
    product
        The product that fails.
    start
        When the flood begins.
    hours
        How long it lasts, in hours.
    share
        Tickets of the whole period that it adds, as a share.
    """

    product: str
    start: np.datetime64
    hours: int
    share: float


INCIDENTS: Final = (
    Incident("Mail Server", np.datetime64("2024-03-12T08:00:00"), hours=56, share=0.012),
    Incident("Web Hosting", np.datetime64("2024-09-17T10:00:00"), hours=40, share=0.009),
)

# --- Who writes, about what -----------------------------------------------------------------------

# At 0.55 customers per ticket most write once, and some again and again.
CUSTOMERS_PER_TICKET: Final = 0.55
# Above 1, some customers write much more often than others.
REPEAT_SKEW: Final = 1.5
# Customers mostly write early in their time with a product.
MEAN_TENURE_DAYS: Final = 260.0
LONGEST_TENURE_DAYS: Final = 1_500.0
MISSING_AGE: Final = 0.04
MISSING_PRODUCT: Final = 0.03
GENDERS: Final = {"Female": 0.49, "Male": 0.48, "Other": 0.03}


class Product(NamedTuple):
    """How often a product is bought, and what it does to the hours of work on a technical issue."""

    popularity: float
    difficulty: float


PRODUCTS: Final = {
    "Cloud Backup": Product(9, 1.9),
    "Dash Camera": Product(3, 0.8),
    "Digital Scale": Product(2, 0.45),
    "E-Reader": Product(4, 0.55),
    "Fitness Band": Product(6, 0.6),
    "Game Console": Product(6, 1.0),
    "Laser Printer": Product(7, 1.5),
    "Mail Server": Product(5, 2.6),
    "Mesh Router": Product(9, 1.4),
    "Office Suite": Product(10, 0.75),
    "Password Vault": Product(4, 0.7),
    "Payroll Portal": Product(5, 2.2),
    "Photo Editor": Product(5, 0.6),
    "Robot Vacuum": Product(4, 1.1),
    "Smart Speaker": Product(5, 0.65),
    "Tablet 10": Product(6, 0.85),
    "Thermostat": Product(3, 1.2),
    "VPN Client": Product(6, 1.7),
    "Video Doorbell": Product(4, 1.3),
    "Web Hosting": Product(7, 2.9),
}
# An agent has to ask first which product it is about.
UNKNOWN_PRODUCT_DIFFICULTY: Final = 1.5
# A difficult product slows other requests too, but far less: this power of its difficulty.
DIFFICULTY_OUTSIDE_TECHNICAL: Final = 0.25

TECHNICAL: Final = "Technical issue"
REFUND: Final = "Refund request"

TYPES: Final = {
    TECHNICAL: 0.38,
    "Billing inquiry": 0.22,
    REFUND: 0.14,
    "Cancellation request": 0.10,
    "Product inquiry": 0.16,
}
# An outage makes people report the fault; a few ask for their money back.
INCIDENT_TYPES: Final = {
    TECHNICAL: 0.88,
    "Billing inquiry": 0.03,
    REFUND: 0.06,
    "Cancellation request": 0.02,
    "Product inquiry": 0.01,
}

SUBJECTS: Final[Mapping[str, Mapping[str, float]]] = {
    TECHNICAL: {
        "Account access": 0.24,
        "Data loss": 0.13,
        "Installation support": 0.22,
        "Network problem": 0.19,
        "Software bug": 0.22,
    },
    "Billing inquiry": {"Payment issue": 0.6, "Unexpected charge": 0.4},
    REFUND: {"Delivery problem": 0.45, "Refund status": 0.55},
    "Cancellation request": {"Cancel order": 0.4, "Cancel subscription": 0.6},
    "Product inquiry": {"Product compatibility": 0.55, "Product recommendation": 0.45},
}

PRIORITIES: Final = ("Critical", "High", "Medium", "Low")
# Shares in the order of PRIORITIES: what is broken is urgent, what is a question is not.
# Over all types they give about 12/23/40/25%.
PRIORITY_SHARES: Final = {
    TECHNICAL: (0.19, 0.29, 0.36, 0.16),
    "Billing inquiry": (0.10, 0.23, 0.43, 0.24),
    REFUND: (0.08, 0.20, 0.45, 0.27),
    "Cancellation request": (0.06, 0.17, 0.42, 0.35),
    "Product inquiry": (0.03, 0.11, 0.40, 0.46),
}

CHANNELS: Final = ("Email", "Phone", "Chat", "Social media")
# In the order of CHANNELS. The phone line is manned when the desk is; at night people write.
CHANNEL_SHARES_OPEN: Final = (0.37, 0.25, 0.29, 0.09)
CHANNEL_SHARES_CLOSED: Final = (0.58, 0.07, 0.19, 0.16)

# --- How long a ticket takes ----------------------------------------------------------------------

# The sample's own promise, in hours. `sla=standard` says the same; the truth holds only for these.
TARGET_HOURS: Final = {"Critical": 4.0, "High": 8.0, "Medium": 24.0, "Low": 72.0}
# Median hours from an agent's start to the resolution, for an average request. Urgent tickets jump
# the queue, but by less than their targets shrink. The levels give breach rates of about 38, 29, 28
# and 16%: low enough that escalating a whole priority is never the best that can be done.
WORK_HOURS: Final = {"Critical": 1.55, "High": 2.2, "Medium": 7.5, "Low": 19.0}

WORK_BY_TYPE: Final = {
    TECHNICAL: 1.4,
    "Billing inquiry": 0.8,
    REFUND: 1.05,
    "Cancellation request": 0.55,
    "Product inquiry": 0.6,
}
WORK_BY_SUBJECT: Final = {
    "Account access": 0.6,  # a reset link
    "Data loss": 1.7,  # restored by the second line
    "Installation support": 0.9,
    "Network problem": 1.1,
    "Software bug": 1.25,
    "Payment issue": 0.9,
    "Unexpected charge": 1.2,
    "Delivery problem": 1.25,  # needs the carrier's answer
    "Refund status": 0.8,
    "Cancel order": 1.1,
    "Cancel subscription": 0.9,
    "Product compatibility": 1.15,
    "Product recommendation": 0.85,
}
# A live conversation settles things at once; e-mail goes to and fro.
WORK_BY_CHANNEL: Final = {"Email": 1.35, "Phone": 0.7, "Chat": 0.65, "Social media": 1.2}
# A technical issue outgrows a chat window and is handed over.
CHAT_HANDOVER: Final = 1.3
# Friday after noon finance has left, and the refund misses the week's payment run.
FINANCE_LEAVES_HOUR: Final = 12
REFUND_MISSES_PAYMENT_RUN: Final = 2.4
# On Monday morning everyone works through the weekend's pile.
MONDAY_PILE: Final = 1.3
MONDAY_PILE_UNTIL_HOUR: Final = 12
INCIDENT_WORK: Final = 1.6
# New customers need their hand held; old installations bring surprises.
NEW_CUSTOMER_DAYS: Final = 30
NEW_CUSTOMER_WORK: Final = 1.2
OLD_CUSTOMER_DAYS: Final = 730
OLD_CUSTOMER_WORK: Final = 1.15

# The desk is open Monday to Friday from 8 to 18.
OPENS_HOUR: Final = 8
CLOSES_HOUR: Final = 18
# A ticket of the last two hours may be left for the next morning, the more so the later it comes.
LEFT_OVER_HOURS: Final = 2.0
# The part of the closed hours that a ticket really waits, and the longest it can wait in hours.
# Critical pages the on-call engineer; High is seen by a duty shift; Medium and Low by nobody.
WAITED_SHARE: Final = {"Critical": 0.18, "High": 0.4, "Medium": 0.8, "Low": 0.95}
LONGEST_WAIT_HOURS: Final = {"Critical": 2.0, "High": 6.0, "Medium": 36.0, "Low": 60.0}

# Standard deviation of the log of the resolution time: everything that nobody can see at creation
# (the agent, the customer's replies, luck). It sets how well the best possible model can do: an ROC
# AUC of about 0.84.
NOISE: Final = 0.87

# The first answer comes after the wait, and this part of the work, drawn uniformly.
ANSWERED_AFTER_WORK: Final = (0.03, 0.6)
# On the phone and in a chat the first answer is the greeting.
ANSWERED_AFTER_WORK_LIVE: Final = (0.005, 0.06)
LIVE_CHANNELS: Final = ("Phone", "Chat")
# Both stamps are whole seconds; a minute between them keeps their order after rounding.
SHORTEST_STEP_SECONDS: Final = 60

SURVEY_ANSWERED: Final = 0.62
# Stars for a ticket that took exactly its target, lost per e-fold of lateness, and their noise.
RATING_ON_TARGET: Final = 3.1
RATING_LOST_TO_LATENESS: Final = 0.7
RATING_NOISE: Final = 0.9


@dataclass(frozen=True)
class Desk:
    """How a desk differs from the bundled one: what makes its labels late, or wrong.

    Attributes
    ----------
    stretch
        All targets, waits and hours of work are longer by this factor, so that a label is known
        later. The truth stays the same, for targets of ``TARGET_HOURS`` times the factor.
    slow_share
        Share of the tickets, drawn at random, that take `SLOW_FACTOR` times as long.
    outage
        Two moments, as text. What is resolved from the first on is written down at the second,
        within `CLEARED_HOURS`: its resolution times are wrong, and the truth is not.
    swing
        Standard deviation of the log of the pace of each ticket type, which wanders from day to day
        with a memory of `SWING_DAYS`. No field shows it, only other tickets do; the truth knows it.
    """

    stretch: float = 1.0
    slow_share: float = 0.0
    outage: tuple[str, str] | None = None
    swing: float = 0.0


BUNDLED: Final = Desk()
SLOW_FACTOR: Final = 8.0
CLEARED_HOURS: Final = 10.0
SWING_DAYS: Final = 20.0
PLACES: Final = {kind: float(place) for place, kind in enumerate(TYPES)}


@dataclass(frozen=True)
class Sample:
    """A synthetic export and what no real export has: the true risk.

    Attributes
    ----------
    tickets
        One row per ticket, sorted by creation, with the columns and the text of the bundled file.
    truth
        ``ticket_id`` and ``breach_probability``, the probability at creation that the ticket takes
        longer than its SLA target; rows as in `tickets`. Unless some are slow at random, also
        ``median_hours`` and ``spread`` of the lognormal time that it takes.
    """

    tickets: pd.DataFrame
    truth: pd.DataFrame


def generate_tickets(tickets: int = 12_000, seed: int = 2024, desk: Desk = BUNDLED) -> Sample:
    """Generate a year of support tickets with their true breach probabilities.

    More tickets make the same year denser; the process stays the same.

    Parameters
    ----------
    tickets
        How many tickets to generate, at least 1.
    seed
        Seed of the PCG64 generator. The defaults give the bundled sample.
    desk
        How the desk differs from the bundled one.

    Returns
    -------
    Sample
        The export as of the last second of 2024, and the truth.

    Examples
    --------
    >>> sample = generate_tickets(tickets=500, seed=1)
    >>> sample.tickets["Created At"].is_monotonic_increasing
    True
    >>> bool(sample.truth["breach_probability"].between(0, 1).all())
    True
    """
    if tickets < 1:
        raise ValueError(f"tickets must be at least 1, not {tickets}")
    rng = Generator(PCG64(seed))
    arrivals = draw_arrivals(rng, tickets)
    customers = draw_customers(rng, tickets)
    requests = draw_requests(rng, arrivals, customers)
    wait, work = measure_wait_hours(requests), measure_work_hours(requests)
    # The variations of a desk are drawn apart, so that its tickets are those of the bundled one.
    varied = Generator(PCG64([seed, 1]))
    slow = varied.random(tickets) < desk.slow_share
    pace = np.ones(tickets) if not desk.swing else np.exp(desk.swing * draw_swing(varied, requests))
    slowed = pace * np.where(slow, SLOW_FACTOR, 1.0)
    outcomes = draw_outcomes(rng, requests, wait, work, slowed=slowed, stretch=desk.stretch)
    if desk.outage is not None:
        outcomes["resolved_at"] = delay_records(varied, outcomes["resolved_at"], *desk.outage)
    export = _lay_out_export(requests, customers, outcomes)
    usual, if_slow = (
        compute_breach_probability(requests["priority"], (wait + work) * pace * times)
        for times in (1.0, SLOW_FACTOR)
    )
    truth = pd.DataFrame(
        {
            "ticket_id": export["Ticket ID"],
            "breach_probability": (1 - desk.slow_share) * usual + desk.slow_share * if_slow,
        }
    )
    if not desk.slow_share:  # with slow tickets among them, times are not lognormal
        truth["median_hours"] = desk.stretch * (wait + work) * pace
        truth["spread"] = NOISE
    return Sample(tickets=export, truth=truth)


def compute_breach_probability(priority: "pd.Series[str]", median_hours: Floats) -> Floats:
    """Give the chance that a lognormal resolution time with this median (hours) misses its target.

    Examples
    --------
    A ticket whose median is its target is a toss-up.

    >>> compute_breach_probability(pd.Series(["High"]), np.array([8.0]))
    array([0.5])
    """
    scores = np.log(median_hours / look_up(TARGET_HOURS, priority)) / NOISE
    return np.fromiter(map(NormalDist().cdf, scores), dtype=np.float64, count=len(scores))


# --- Arrivals -------------------------------------------------------------------------------------


def draw_arrivals(rng: Generator, tickets: int) -> pd.DataFrame:
    """Draw when tickets are created (whole seconds, ascending) and from which incident, if any.

    Returns
    -------
    DataFrame
        ``created_at`` and ``incident``, an index into `INCIDENTS` or -1.
    """
    shares = [incident.share for incident in INCIDENTS]
    incident = draw_index(rng, np.array([1 - sum(shares), *shares]), tickets) - 1
    hour = np.empty(tickets, dtype=np.int64)
    for index, volume in [(-1, weigh_hours()), *enumerate(map(weigh_incident_hours, INCIDENTS))]:
        rows = incident == index
        hour[rows] = draw_index(rng, volume, int(rows.sum()))
    second = hour * 3600 + rng.integers(0, 3600, tickets)
    order = np.argsort(second, kind="stable")
    created = PERIOD_START + second[order].astype("timedelta64[s]")
    return pd.DataFrame({"created_at": created, "incident": incident[order]})


def weigh_hours() -> Floats:
    """Weigh every hour of the period by the volume it usually brings."""
    hours = list_hours(DAYS)
    weekday = np.where(find_holidays(hours), 6, find_weekday(hours))
    growth = 1 + GROWTH_OVER_PERIOD * np.arange(len(hours)) / len(hours)
    daily = np.array(VOLUME_BY_HOUR, dtype=np.float64)[find_hour(hours)]
    volume: Floats = daily * np.array(VOLUME_BY_WEEKDAY)[weekday] * growth
    return volume


def weigh_incident_hours(incident: Incident) -> Floats:
    """Weigh the hours of the period by an incident's volume, which decays as word gets round."""
    since = (list_hours(DAYS) - incident.start) / np.timedelta64(1, "h")
    burst = np.where((since >= 0) & (since < incident.hours), 1 - since / incident.hours, 0.0)
    # People sleep during an outage too.
    volume: Floats = burst * np.array(VOLUME_BY_HOUR)[find_hour(list_hours(DAYS))]
    return volume


# --- Who writes, about what -----------------------------------------------------------------------


def draw_customers(rng: Generator, tickets: int) -> pd.DataFrame:
    """Draw the customers: what they bought, how long before their first ticket, age and gender.

    Returns
    -------
    DataFrame
        One row per customer: ``product``, ``tenure_at_first`` in days, ``age`` (missing for some)
        and ``gender``.
    """
    names = np.array(list(PRODUCTS))
    count = max(len(names), int(tickets * CUSTOMERS_PER_TICKET))
    popularity = np.array([product.popularity for product in PRODUCTS.values()])
    # Each product has at least one owner, who can report its incident however small the sample.
    bought = draw_index(rng, popularity, count)
    bought[: len(names)] = np.arange(len(names))
    tenure = -MEAN_TENURE_DAYS * np.log1p(-rng.random(count))
    age = np.clip(np.rint(43 + 14 * rng.standard_normal(count)), 18, 85)
    genders = np.array(list(GENDERS))
    return pd.DataFrame(
        {
            "product": names[rng.permutation(bought)],
            "tenure_at_first": np.minimum(tenure, LONGEST_TENURE_DAYS).astype(np.int64),
            "age": pd.array(age.astype(np.int64)).astype("Int64"),
            "gender": genders[draw_index(rng, np.array(list(GENDERS.values())), count)],
        }
    ).assign(age=lambda rows: rows["age"].mask(rng.random(count) < MISSING_AGE))


def draw_requests(rng: Generator, arrivals: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Draw all that a ticket shows at creation, one row per arrival.

    Returns
    -------
    DataFrame
        ``created_at``, ``customer`` (row of `customers`), ``product`` (missing for some),
        ``bought_on``, ``tenure_days``, ``type``, ``subject``, ``priority``, ``channel``.
    """
    tickets = len(arrivals)
    created = arrivals["created_at"].to_numpy()
    customer = draw_writers(rng, arrivals["incident"].to_numpy(), customers["product"])
    bought_on = find_purchase_date(created, customer, customers["tenure_at_first"].to_numpy())
    product = pd.Series(customers["product"].to_numpy()[customer])
    kind = draw_types(rng, arrivals["incident"].to_numpy())
    return pd.DataFrame(
        {
            "created_at": created,
            "customer": customer,
            "product": product.mask(rng.random(tickets) < MISSING_PRODUCT),
            "bought_on": bought_on,
            "tenure_days": (created.astype("datetime64[D]") - bought_on).astype(np.int64),
            "type": kind,
            "subject": draw_subjects(rng, kind),
            "priority": draw_label(rng, PRIORITIES, look_up_rows(PRIORITY_SHARES, kind)),
            "channel": draw_label(rng, CHANNELS, find_channel_shares(created)),
        }
    )


def draw_writers(rng: Generator, incident: Integers, product: "pd.Series[str]") -> Integers:
    """Draw each ticket's customer; an incident is reported by owners of the product that failed."""
    position = rng.random(len(incident)) ** REPEAT_SKEW
    writer = (position * len(product)).astype(np.int64)
    for index, failure in enumerate(INCIDENTS):
        rows = incident == index
        owners = np.flatnonzero(product.to_numpy() == failure.product)
        writer[rows] = owners[(position[rows] * len(owners)).astype(np.int64)]
    return writer


def find_purchase_date(created: Times, customer: Integers, tenure_at_first: Integers) -> Times:
    """Date each ticket's purchase back from its customer's first ticket, so that none precedes it.

    Parameters
    ----------
    created
        Creation times, ascending.
    customer
        Each ticket's customer.
    tenure_at_first
        Per customer, days from the purchase to the first ticket.
    """
    _, first, place = np.unique(customer, return_index=True, return_inverse=True)
    first_day = created[first][place].astype("datetime64[D]")
    bought_on: Times = first_day - tenure_at_first[customer].astype("timedelta64[D]")
    return bought_on


def draw_types(rng: Generator, incident: Integers) -> NDArray[np.str_]:
    """Draw ticket types: mostly technical ones in an incident."""
    usual = np.array([TYPES[kind] for kind in TYPES])
    failing = np.array([INCIDENT_TYPES[kind] for kind in TYPES])
    return draw_label(rng, tuple(TYPES), np.where((incident >= 0)[:, None], failing, usual))


def draw_subjects(rng: Generator, kind: NDArray[np.str_]) -> NDArray[np.str_]:
    """Draw one of the fixed phrases of each ticket's type."""
    phrases = tuple(WORK_BY_SUBJECT)
    shares = {
        kind: tuple(subjects.get(phrase, 0.0) for phrase in phrases)
        for kind, subjects in SUBJECTS.items()
    }
    return draw_label(rng, phrases, look_up_rows(shares, kind))


def find_channel_shares(created: Times) -> Floats:
    """Give each ticket the channel shares of its hour: by day, or with the phone line closed."""
    manned = is_desk_open(created)[:, None]
    return np.where(manned, np.array(CHANNEL_SHARES_OPEN), np.array(CHANNEL_SHARES_CLOSED))


# --- How long a ticket takes ----------------------------------------------------------------------


def measure_wait_hours(requests: pd.DataFrame) -> Floats:
    """Give the hours each ticket waits for somebody to be there."""
    closed = measure_closed_hours(requests["created_at"].to_numpy())
    waited = closed * look_up(WAITED_SHARE, requests["priority"])
    return np.minimum(waited, look_up(LONGEST_WAIT_HOURS, requests["priority"]))


def measure_closed_hours(created: Times) -> Floats:
    """Give the closed hours ahead of tickets created at these times.

    Until the desk opens if it is closed; a growing part of the coming night or weekend in the last
    hours before it closes; else none.
    """
    hours = list_hours(CALENDAR_DAYS)
    indices = np.arange(len(hours))
    # The index of the next open hour, found from the far end of the calendar.
    opens = np.where(is_desk_open(hours), indices, len(hours))
    next_open = np.minimum.accumulate(opens[::-1])[::-1]
    since_start = (created - PERIOD_START) / np.timedelta64(1, "h")
    index = since_start.astype(np.int64)
    until_open = next_open[index] - since_start
    closing = index - find_hour(created) + CLOSES_HOUR
    overnight = next_open[closing] - closing
    left_over = np.clip(1 - (closing - since_start) / LEFT_OVER_HOURS, 0, 1)
    return np.where(is_desk_open(created), left_over * overnight, until_open)


def measure_work_hours(requests: pd.DataFrame) -> Floats:
    """Give the median hours from an agent's start to the resolution."""
    created = requests["created_at"].to_numpy()
    technical = (requests["type"] == TECHNICAL).to_numpy()
    hours = (
        look_up(WORK_HOURS, requests["priority"])
        * look_up(WORK_BY_TYPE, requests["type"])
        * look_up(WORK_BY_SUBJECT, requests["subject"])
        * look_up(WORK_BY_CHANNEL, requests["channel"])
        * find_difficulty(requests["product"], technical)
    )
    weekday, hour, tenure = find_weekday(created), find_hour(created), requests["tenure_days"]
    friday_refund = (
        (requests["type"] == REFUND).to_numpy() & (weekday == 4) & (hour >= FINANCE_LEAVES_HOUR)
    )
    monday_morning = is_desk_open(created) & (weekday == 0) & (hour < MONDAY_PILE_UNTIL_HOUR)
    for applies, factor in (
        (technical & (requests["channel"] == "Chat").to_numpy(), CHAT_HANDOVER),
        (technical & is_incident(created, requests["product"]), INCIDENT_WORK),
        (friday_refund, REFUND_MISSES_PAYMENT_RUN),
        (monday_morning, MONDAY_PILE),
        ((tenure < NEW_CUSTOMER_DAYS).to_numpy(), NEW_CUSTOMER_WORK),
        ((tenure >= OLD_CUSTOMER_DAYS).to_numpy(), OLD_CUSTOMER_WORK),
    ):
        hours = np.where(applies, hours * factor, hours)
    return hours


def find_difficulty(product: "pd.Series[str]", technical: Bools) -> Floats:
    """Give the factor of each ticket's product, in full for technical issues only."""
    difficulty = {name: entry.difficulty for name, entry in PRODUCTS.items()}
    factor = product.map(difficulty).fillna(UNKNOWN_PRODUCT_DIFFICULTY).to_numpy(np.float64)
    return np.where(technical, factor, factor**DIFFICULTY_OUTSIDE_TECHNICAL)


def is_incident(created: Times, product: "pd.Series[str]") -> Bools:
    """Tell which tickets name a product while it fails.

    This looks at the ticket and not at why it was drawn, for the truth must follow from what the
    ticket shows.
    """
    failing = np.zeros(len(created), dtype=np.bool_)
    for incident in INCIDENTS:
        end = incident.start + np.timedelta64(incident.hours, "h")
        during = (created >= incident.start) & (created < end)
        failing |= during & (product == incident.product).to_numpy(np.bool_)
    return failing


def draw_outcomes(
    rng: Generator,
    requests: pd.DataFrame,
    wait_hours: Floats,
    work_hours: Floats,
    *,
    slowed: Floats,
    stretch: float,
) -> pd.DataFrame:
    """Draw when tickets are answered and resolved, and how customers rate it, export or not.

    A ticket takes ``slowed`` times as long as it would, and all times are longer by ``stretch``.

    Returns
    -------
    DataFrame
        ``answered_at``, ``resolved_at`` and ``rating`` (1 to 5, missing if not given).
    """
    tickets = len(requests)
    created = requests["created_at"].to_numpy()
    median = wait_hours + work_hours
    hours = slowed * median * np.exp(NOISE * rng.standard_normal(tickets))
    live = requests["channel"].isin(LIVE_CHANNELS).to_numpy()[:, None]
    low, high = np.where(live, ANSWERED_AFTER_WORK_LIVE, ANSWERED_AFTER_WORK).T
    part_of_work = low + (high - low) * rng.random(tickets)
    answered = stretch * hours * (wait_hours + part_of_work * work_hours) / median
    answer_seconds = np.maximum(np.rint(answered * 3600), SHORTEST_STEP_SECONDS)
    seconds = np.maximum(np.rint(stretch * hours * 3600), answer_seconds + SHORTEST_STEP_SECONDS)
    return pd.DataFrame(
        {
            "answered_at": created + answer_seconds.astype("timedelta64[s]"),
            "resolved_at": created + seconds.astype("timedelta64[s]"),
            "rating": draw_ratings(rng, hours / look_up(TARGET_HOURS, requests["priority"])),
        }
    )


def draw_swing(rng: Generator, requests: pd.DataFrame) -> Floats:
    """Draw the state of each ticket's type on its day: one with mean 0 and variance 1, by type."""
    kept = np.exp(-1 / SWING_DAYS)
    states = rng.standard_normal((CALENDAR_DAYS, len(TYPES)))
    for day in range(1, CALENDAR_DAYS):
        states[day] = kept * states[day - 1] + np.sqrt(1 - kept**2) * states[day]
    created = requests["created_at"].to_numpy()
    days = ((created - PERIOD_START) / np.timedelta64(1, "D")).astype(np.int64)
    state: Floats = states[days, look_up(PLACES, requests["type"]).astype(np.int64)]
    return state


def delay_records(
    rng: Generator, resolved: "pd.Series[pd.Timestamp]", begin: str, end: str
) -> "pd.Series[pd.Timestamp]":
    """Write what was resolved between two moments down after the second, in a backlog's time."""
    hit = (resolved >= pd.Timestamp(begin)) & (resolved < pd.Timestamp(end))
    late = np.rint(CLEARED_HOURS * 3600 * rng.random(len(resolved))).astype("timedelta64[s]")
    return resolved.mask(hit, pd.Timestamp(end) + pd.Series(late, index=resolved.index))


def draw_ratings(rng: Generator, lateness: Floats) -> "pd.Series[int]":
    """Draw stars, fewer for tickets that took long against their target; some are never given."""
    noise = RATING_NOISE * rng.standard_normal(len(lateness))
    stars = RATING_ON_TARGET - RATING_LOST_TO_LATENESS * np.log(lateness) + noise
    ratings = pd.Series(np.clip(np.rint(stars), 1, 5).astype(np.int64), dtype="Int64")
    return ratings.mask(rng.random(len(lateness)) >= SURVEY_ANSWERED)


# --- The export -----------------------------------------------------------------------------------


def _lay_out_export(
    requests: pd.DataFrame, customers: pd.DataFrame, outcomes: pd.DataFrame
) -> pd.DataFrame:
    """Lay the tickets out as the file has them, with all that happens after the export blank."""
    answered = outcomes["answered_at"].where(outcomes["answered_at"] <= EXPORTED_AT)
    resolved = outcomes["resolved_at"].where(outcomes["resolved_at"] <= EXPORTED_AT)
    status = np.where(answered.isna(), "Open", "Pending Customer Response")
    customer = requests["customer"].to_numpy()
    number = (requests["customer"] + 1).astype(str).str.zfill(5)
    values: tuple[Any, ...] = (
        np.arange(1, len(requests) + 1),
        "Customer " + number,
        "customer" + number + "@example.com",
        customers["age"].array[customer],
        customers["gender"].array[customer],
        requests["product"],
        requests["bought_on"].dt.strftime("%Y-%m-%d"),
        requests["type"],
        requests["subject"],
        np.where(resolved.notna(), "Closed", status),
        requests["priority"],
        requests["channel"],
        write_times(requests["created_at"]),
        write_times(answered),
        write_times(resolved),
        outcomes["rating"].where(resolved.notna()),
    )
    return pd.DataFrame(dict(zip(TICKET_COLUMNS, values, strict=True)))


def write_times(times: "pd.Series[pd.Timestamp]") -> "pd.Series[str]":
    """Write times as the file has them, to the second; a missing one stays missing."""
    return times.dt.strftime("%Y-%m-%d %H:%M:%S")


def write_sample(
    folder: Path, tickets: int = 12_000, seed: int = 2024, desk: Desk = BUNDLED
) -> None:
    """Write a sample's two files into a folder, byte for byte the same everywhere.

    Parameters
    ----------
    folder
        An existing folder. Files named `TICKETS_FILE` and `TRUTH_FILE` in it are replaced.
    tickets, seed, desk
        As of `generate_tickets`; the defaults give the bundled sample.
    """
    sample = generate_tickets(tickets, seed, desk)
    for frame, name in ((sample.tickets, TICKETS_FILE), (sample.truth, TRUTH_FILE)):
        frame.to_csv(folder / name, index=False, lineterminator="\n", float_format="%.6f")


# --- The calendar ---------------------------------------------------------------------------------


def list_hours(days: int) -> Times:
    """List the starts of all hours from the period's start on."""
    return PERIOD_START + np.arange(days * 24) * np.timedelta64(3600, "s")


def find_hour(times: Times) -> Integers:
    """Give the hour of the day, 0 to 23."""
    return (times.astype("datetime64[h]").astype(np.int64)) % 24


def find_weekday(times: Times) -> Integers:
    """Give the day of the week, Monday 0 to Sunday 6."""
    # Day 0 of the epoch was a Thursday.
    return (times.astype("datetime64[D]").astype(np.int64) + 3) % 7


def find_holidays(times: Times) -> Bools:
    """Tell which times fall on a holiday."""
    return np.isin(times.astype("datetime64[D]"), np.array(HOLIDAYS, dtype="datetime64[D]"))


def is_desk_open(times: Times) -> Bools:
    """Tell at which times the desk is staffed."""
    hour = find_hour(times)
    office_hours = (hour >= OPENS_HOUR) & (hour < CLOSES_HOUR)
    open_now: Bools = office_hours & (find_weekday(times) < 5) & ~find_holidays(times)
    return open_now


# --- Drawing and looking up -----------------------------------------------------------------------


def draw_index(rng: Generator, weights: Floats, size: int) -> Integers:
    """Draw indices with the given weights."""
    bounds = np.cumsum(weights)
    # The last bound is left out, so that no rounding can put a draw beyond the last index.
    drawn: Integers = np.searchsorted(bounds[:-1], rng.random(size) * bounds[-1], side="right")
    return drawn


def draw_label(rng: Generator, labels: Sequence[str], shares: Floats) -> NDArray[np.str_]:
    """Draw one label per row of shares, which sum to 1."""
    bounds = np.cumsum(shares, axis=1)[:, :-1]
    index = (rng.random(len(shares))[:, None] >= bounds).sum(axis=1)
    drawn: NDArray[np.str_] = np.array(labels)[index]
    return drawn


def look_up(table: Mapping[str, float], keys: "pd.Series[str]") -> Floats:
    """Give each key's number."""
    return np.asarray(keys.map(table), dtype=np.float64)


def look_up_rows(table: Mapping[str, Sequence[float]], keys: NDArray[np.str_]) -> Floats:
    """Give each key's row of numbers."""
    names, place = np.unique(keys, return_inverse=True)
    rows: Floats = np.array([table[str(name)] for name in names], dtype=np.float64)[place]
    return rows


if __name__ == "__main__":
    write_sample(Path("data"))
