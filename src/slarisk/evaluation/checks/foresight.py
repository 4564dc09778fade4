"""Whether a feature knows what is known only when a ticket ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from slarisk.evaluation.checks.association import share_information
from slarisk.evaluation.checks.check import doubt, fine, invalid
from slarisk.evaluation.checks.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slarisk.evaluation.checks.check import Finding

_SAME, _CLOSE = 0.9, 0.7  # rank correlations with the time a ticket takes
_FEW = 100  # tickets, below which a rank correlation is not looked at
_FEW_DAYS = 300  # tickets that ended on another day
_EDGE = 0.02  # of the tickets are outside the period that both days have to lie in
_RARE, _COMMON = 20, 50  # tickets: rarer values are taken together, and common ones looked at alone
_MOST = 15_000  # tickets that the days are read from
_GAIN, _LARGE, _ERRORS = 0.01, 0.25, 4.0  # nats, share of the nats, standard errors
_BROAD, _FEWEST_VALUES = 0.6, 5  # share of the common values, and how many it takes
_SWAPS = 40


def check_moment(evidence: Evidence) -> Finding:
    """SR008: every feature is known at the prediction moment, and none ranks tickets by their end.

    That the data policy says so was asked before the run. A number or a date by which tickets lie
    in the order of the time they took says so in vain.
    """
    moment, fields = evidence.config.moment.value, evidence.fields
    said = f"All {len(fields)} fields are listed as known at {moment!r}"
    numbers = [
        name for name in evidence.features if pd.api.types.is_float_dtype(evidence.frame[name])
    ]
    if not numbers:
        return fine(f"{said}; none is a number.")
    taken = [_measure_hours(evidence.training, end) for end in _name_ends(evidence)]
    order = {
        name: max((_correlate_ranks(evidence.frame[name], hours) for hours in taken), default=0.0)
        for name in numbers
    }
    name = max(order, key=order.__getitem__)
    found = f"{name} ranks tickets as the time they took does (rank correlation {order[name]:.2f})"
    if order[name] >= _SAME:
        return invalid(
            f"{said}, but {found}: it is filled in when a ticket ends. Correct data.known."
        )
    if order[name] >= _CLOSE:
        return doubt(f"{said}, but {found}. Find out when it becomes known.")
    return fine(f"{said}; the largest rank correlation with the time taken is {order[name]:.2f}.")


def _name_ends(evidence: Evidence) -> list[str]:
    """Name the dates at which a ticket ends: its resolution, and what makes its label known."""
    ends = ["resolved_at", evidence.config.data.label.known_at]
    return [name for name in ends if name is not None and name in evidence.training]


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
class _Days:
    """The days on which n tickets were created and ended, from a Monday on, below ``count``."""

    created: NDArray[np.int64]
    ended: NDArray[np.int64]
    count: int


def check_days(evidence: Evidence) -> Finding:
    """SR009: no category goes by the day on which a ticket ends rather than begins.

    What is known at creation goes by the day of the creation: who is on duty, what is broken. Who
    resolves a ticket, and how, goes by the day of the resolution. So the two days are compared by
    the information that a category shares with them, on tickets that end on another day than they
    began. What weekdays explain is taken off: at weekends only what is urgent is worked on.

    It fails where the gain is large and most values share it. A small gain may be that of who is
    assigned at first and works on the ticket later; one or two values may have reasons of their
    own, such as refunds that are all paid on the first of the month.
    """
    tickets = _pick_tickets(evidence)
    if len(tickets) < _FEW_DAYS:
        return fine(f"Fewer than {_FEW_DAYS} tickets end on another day: cannot be told.")
    days = _read_days(tickets)
    rng = np.random.default_rng(evidence.config.evaluation.seed)
    sure: list[str] = []
    likely: list[str] = []
    names = [name for name in evidence.config.features.categorical if name in tickets]
    for name in names:
        codes, levels = _pool_rare(tickets[name])
        count = np.bincount(codes, minlength=levels)
        begun, ended = (
            _share_with_day(codes, levels, day, days.count) for day in (days.created, days.ended)
        )
        before, after = (float(count @ each) / len(codes) for each in (begun, ended))
        rising = (ended > begun)[count >= _COMMON]
        is_large = after - before >= _LARGE * before
        is_broad = len(rising) >= _FEWEST_VALUES and rising.mean() >= _BROAD
        if after - before < _GAIN or not (is_large or is_broad):
            continue
        if after - before >= _ERRORS * _estimate_error(codes, levels, days, rng):
            told = f"{name} ({after:.3f} nats with the day of the end, {before:.3f} with the first)"
            (sure if is_large and is_broad else likely).append(told)
    if sure:
        return invalid(
            f"Goes by the day on which a ticket ends: {'; '.join(sure + likely)}. It is filled in "
            "at the end: correct data.known."
        )
    if likely:
        return doubt(
            f"Goes a little by the day on which a ticket ends: {'; '.join(likely)}. Find out when "
            "it becomes known."
        )
    return fine(f"None of {len(names)} categories, on {len(tickets):,} tickets.")


def _pick_tickets(evidence: Evidence) -> pd.DataFrame:
    """Pick tickets that end on another day than they began, with both in one and the same period.

    Else the two days would differ in their range, which trends and what is still open tell apart.
    """
    tickets: pd.DataFrame = evidence.tickets.frame
    if evidence.imputed or "resolved_at" not in tickets:
        return tickets.iloc[:0]
    created, ended = tickets["created_at"], tickets["resolved_at"]
    other = created.notna() & ended.notna() & (created.dt.floor("D") != ended.dt.floor("D"))
    tickets = tickets[other]
    first = tickets["resolved_at"].quantile(_EDGE)
    last = tickets["created_at"].quantile(1 - _EDGE)
    tickets = tickets[(tickets["created_at"] >= first) & (tickets["resolved_at"] < last)]
    if len(tickets) <= _MOST:
        return tickets
    return tickets.sample(_MOST, random_state=evidence.config.evaluation.seed)


def _read_days(tickets: pd.DataFrame) -> _Days:
    created, ended = (
        (tickets[name] - pd.Timestamp("1970-01-01")).dt.days.to_numpy(dtype=np.int64)
        for name in ("created_at", "resolved_at")
    )
    first = min(created.min(), ended.min())
    first -= (first + 3) % 7  # 1970 began on a Thursday
    return _Days(created - first, ended - first, int(max(created.max(), ended.max()) - first + 1))


def _pool_rare(values: pd.Series) -> tuple[NDArray[np.int64], int]:
    codes, names = pd.factorize(values, use_na_sentinel=False)
    rare = np.bincount(codes, minlength=len(names)) < _RARE
    found, pooled = np.unique(np.where(rare[codes], len(names), codes), return_inverse=True)
    return pooled.astype(np.int64), len(found)


def _share_with_day(
    codes: NDArray[np.int64], levels: int, day: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Measure what each value tells of the day, beyond what it tells of the weekday."""
    whole = share_information(codes, day, (levels, count))
    return whole - share_information(codes, day % 7, (levels, 7))


def _estimate_error(
    codes: NDArray[np.int64], levels: int, days: _Days, rng: np.random.Generator
) -> float:
    """Estimate what chance does to the gain: the days of half of the tickets change places."""
    share = np.bincount(codes, minlength=levels) / len(codes)
    gains = []
    for _ in range(_SWAPS):
        swap = rng.random(len(codes)) < 0.5
        one = np.where(swap, days.ended, days.created)
        other = np.where(swap, days.created, days.ended)
        gain = _share_with_day(codes, levels, one, days.count)
        gain -= _share_with_day(codes, levels, other, days.count)
        gains.append(float(share @ gain))
    return float(np.std(gains))
