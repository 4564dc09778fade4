"""Whether a feature holds what is known only when a ticket ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from slarisk.checks.check import CheckResult, failed, passed, warned
from slarisk.checks.context import CheckContext
from slarisk.learning.features import category_names, make_features
from slarisk.learning.landmarks import name_now
from slarisk.stats.association import share_information

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.arrays import Bools, Floats


_SAME, _CLOSE = 0.9, 0.7  # rank correlations with the time a ticket takes
_FEW = 100  # tickets, below which a rank correlation is not looked at
_FEW_DAYS = 300  # tickets that ended on another day
_EDGE = 0.02  # of the tickets are outside the period that both days have to lie in
_RARE = 20  # tickets: rarer values are taken together
_MOST = 15_000  # tickets that the days are read from
_GAIN, _ERRORS = 0.01, 4.0  # nats, and standard errors
_LARGE, _SMALL = 0.25, 0.05  # shares of the information
_SPARED = 2  # values that gain most, and may have a reason of their own
_SWAPS = 40
_BATCH = 0.25  # two tickets begin on the same day so often, against how often they end on one


def check_moment(context: CheckContext) -> CheckResult:
    """SR008: every feature is known at the prediction moment, and none ranks tickets by their end.

    The data policy is validated before the run; here, a number or a date that orders tickets by
    their time to resolution contradicts it.
    """
    moment, fields = context.config.moment.value, context.fields
    listed = f"All {len(fields)} fields are listed as known at {moment!r}"
    # a ticket's age is known when it is looked at, and its target was validated to be
    now = {name_now(each) for each in context.config.features.now}
    numbers = [
        name
        for name in context.features
        if name not in now and pd.api.types.is_float_dtype(context.frame[name])
    ]
    if not numbers:
        return passed(f"{listed}; none is a number.")
    taken = [_measure_hours(context.training, end) for end in _name_ends(context)]
    order = {
        name: max((_correlate_ranks(context.frame[name], hours) for hours in taken), default=0.0)
        for name in numbers
    }
    name = max(order, key=order.__getitem__)
    strongest = (
        f"{name} ranks tickets as the time they took does (rank correlation {order[name]:.2f})"
    )
    if order[name] >= _SAME:
        return failed(
            f"{listed}, but {strongest}: it is filled in when a ticket ends. Correct data.known."
        )
    if order[name] >= _CLOSE:
        return warned(f"{listed}, but {strongest}. Find out when it becomes known.")
    return passed(
        f"{listed}; the largest rank correlation with the time taken is {order[name]:.2f}."
    )


def _name_ends(context: CheckContext) -> list[str]:
    """Name the dates at which a ticket ends: its resolution, and what makes its label known."""
    ends = ["resolved_at", context.config.data.label.known_at]
    return [name for name in ends if name is not None and name in context.training]


def _measure_hours(tickets: pd.DataFrame, end: str) -> pd.Series:
    return (tickets[end] - tickets["created_at"]).dt.total_seconds() / 3600


def _correlate_ranks(values: pd.Series, hours: pd.Series) -> float:
    """Measure Spearman's rank correlation, without its sign."""
    both = (values.notna() & hours.notna()).to_numpy()
    if both.sum() < _FEW:
        return 0.0
    ranks = [rankdata(each.to_numpy()[both]) for each in (values, hours)]
    if any(each.std() == 0 for each in ranks):
        return 0.0
    return abs(float(np.corrcoef(*ranks)[0, 1]))


@dataclass(frozen=True, eq=False)
class TicketDays:
    """The values of n tickets, and the days on which these were created and ended.

    ``values`` are codes below ``levels``, and the days are counted from a Monday on, below
    ``count``.
    """

    values: NDArray[np.int64]
    levels: int
    created: NDArray[np.int64]
    ended: NDArray[np.int64]
    count: int

    def drop(self, values: Bools) -> TicketDays:
        """Leave out the tickets of the marked values, bool array of shape (levels,)."""
        kept = ~values[self.values]
        return replace(
            self, values=self.values[kept], created=self.created[kept], ended=self.ended[kept]
        )

    def swap(self, swapped: Bools) -> TicketDays:
        """Let the two days of some tickets change places."""
        created = np.where(swapped, self.ended, self.created)
        return replace(self, created=created, ended=np.where(swapped, self.created, self.ended))


@dataclass(frozen=True)
class Gain:
    """Information of a category about the day of creation, and the gain about that of the end.

    In nats. ``most`` is the value that adds most to the gain.
    """

    before: float
    gain: float
    most: int

    def reaches(self, share: float) -> bool:
        """Whether the gain is at least a share of the information, and anything at all."""
        return self.gain >= max(_GAIN, share * self.before)


def check_days(context: CheckContext) -> CheckResult:
    """SR009: no category goes by the day on which a ticket ends rather than begins.

    What is known at creation goes by the day of the creation: who is on duty, what is broken. Who
    resolves a ticket, and how, goes by the day of the resolution. So the two days are compared by
    the information that a category shares with them, on tickets that end on another day than they
    began. What weekdays explain is taken off: at weekends only what is urgent is worked on.

    It fails where the gain is large, and still large without the two values that gain most: these
    may have reasons of their own, such as refunds that are all paid on the first of the month. Nor
    do values count of which the work is done in batches, many on a day and then none for long:
    these go by the day of the end whenever they were filled in. A small gain may be that of who is
    assigned at first and works on the ticket later. Fields that the data policy vouches for
    (``known.vouched``) are named and not judged.
    """
    tickets = pick_tickets(context)
    if len(tickets) < _FEW_DAYS:
        return passed(f"Fewer than {_FEW_DAYS} tickets end on another day: cannot be told.")
    rng = np.random.default_rng(context.config.evaluation.seed)
    sure: list[str] = []
    likely: list[str] = []
    features, vouched = context.config.features, context.config.data.known.vouched
    frame, names = make_features(tickets, features), category_names(features)
    words = "".join(f" Vouched for: {name} ({why})." for name, why in vouched.items())
    for name in names:
        if name in vouched:
            continue
        days = read_days(tickets, frame[name])
        whole, rest = measure_gains(days)
        if not (whole.reaches(_LARGE) or rest.reaches(_SMALL)):
            continue
        if whole.gain >= _ERRORS * _estimate_error(days, rng):
            description = (
                f"{name} ({whole.before + whole.gain:.3f} nats with the day of the end, "
                f"{whole.before:.3f} with the first)"
            )
            steady = _measure_gain(days.drop(find_batches(days)))
            large = all(each.reaches(_LARGE) for each in (whole, rest, steady))
            (sure if large else likely).append(description)
    if sure:
        return failed(
            f"Goes by the day on which a ticket ends: {'; '.join(sure + likely)}. It is filled in "
            f"at the end: correct data.known.{words}"
        )
    if likely:
        return warned(
            f"Goes a little by the day on which a ticket ends, or its work is done in batches: "
            f"{'; '.join(likely)}. Find out when it becomes known.{words}"
        )
    return passed(f"None of {len(names)} categories, on {len(tickets):,} tickets.{words}")


def pick_tickets(context: CheckContext) -> pd.DataFrame:
    """Pick tickets that end on another day than they began, with both in one and the same period.

    Else the two days would differ in their range, which trends and what is still open tell apart.
    """
    tickets: pd.DataFrame = context.tickets.frame
    if context.imputed or "resolved_at" not in tickets:
        return tickets.iloc[:0]
    created, ended = tickets["created_at"], tickets["resolved_at"]
    other = created.notna() & ended.notna() & (created.dt.floor("D") != ended.dt.floor("D"))
    tickets = tickets[other]
    first = tickets["resolved_at"].quantile(_EDGE)
    last = tickets["created_at"].quantile(1 - _EDGE)
    tickets = tickets[(tickets["created_at"] >= first) & (tickets["resolved_at"] < last)]
    if len(tickets) <= _MOST:
        return tickets
    return tickets.sample(_MOST, random_state=context.config.evaluation.seed)


def read_days(tickets: pd.DataFrame, category: pd.Series) -> TicketDays:
    """Read the two days of tickets, and their category with its rare values taken together."""
    created, ended = (
        (tickets[day] - pd.Timestamp("1970-01-01")).dt.days.to_numpy(dtype=np.int64)
        for day in ("created_at", "resolved_at")
    )
    first = min(created.min(), ended.min())
    first -= (first + 3) % 7  # 1970 began on a Thursday
    count = int(max(created.max(), ended.max()) - first + 1)
    values, levels = _pool_rare(category)
    return TicketDays(values, levels, created - first, ended - first, count)


def _pool_rare(values: pd.Series) -> tuple[NDArray[np.int64], int]:
    codes, names = pd.factorize(values, use_na_sentinel=False)
    rare = np.bincount(codes, minlength=len(names)) < _RARE
    found, pooled = np.unique(np.where(rare[codes], len(names), codes), return_inverse=True)
    return pooled.astype(np.int64), len(found)


def measure_gains(days: TicketDays) -> tuple[Gain, Gain]:
    """Measure the gain of all values, and of all but those that gain most."""
    whole = rest = _measure_gain(days)
    for _ in range(_SPARED):
        days = days.drop(np.arange(days.levels) == rest.most)
        rest = _measure_gain(days)
    return whole, rest


def find_batches(days: TicketDays) -> Bools:
    """Find the values of which tickets end in batches, bool array of shape (levels,).

    Two tickets of such a value end on the same day more than four times as often as two begin on
    one.
    """
    begun, ended = (_meet(days, day) for day in (days.created, days.ended))
    batches: Bools = begun < _BATCH * ended
    return batches


def _meet(days: TicketDays, day: NDArray[np.int64]) -> Floats:
    """Estimate the chance that two tickets of each value share their day, shape (levels,)."""
    cells = np.bincount(days.values * days.count + day, minlength=days.levels * days.count)
    counts = cells.reshape(days.levels, days.count).astype(np.float64)
    tickets = counts.sum(axis=1)
    pairs = np.maximum(tickets * (tickets - 1), 1)
    shared: Floats = (counts * (counts - 1)).sum(axis=1) / pairs
    return shared


def _measure_gain(days: TicketDays) -> Gain:
    if not len(days.values):
        return Gain(0.0, 0.0, 0)
    share = np.bincount(days.values, minlength=days.levels) / len(days.values)
    begun, ended = (share * _share_with_day(days, day) for day in (days.created, days.ended))
    gain = ended - begun
    return Gain(float(begun.sum()), float(gain.sum()), int(gain.argmax()))


def _share_with_day(days: TicketDays, day: NDArray[np.int64]) -> Floats:
    """Measure what each value tells of the day, beyond what it tells of the weekday."""
    whole = share_information(days.values, day, (days.levels, days.count))
    return whole - share_information(days.values, day % 7, (days.levels, 7))


def _estimate_error(days: TicketDays, rng: np.random.Generator) -> float:
    """Estimate what chance does to the gain: the days of half of the tickets change places."""
    gains = [
        _measure_gain(days.swap(rng.random(len(days.values)) < 0.5)).gain for _ in range(_SWAPS)
    ]
    return float(np.std(gains))
