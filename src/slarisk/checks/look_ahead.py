"""Whether the context of tickets rests on nothing but what was known when they were created."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from slarisk.checks.check import CheckResult, failed, passed
from slarisk.learning.context import (
    ALL,
    PRIOR_TICKETS,
    list_context_names,
    list_loads,
    list_rates,
    name_person,
    split_group,
)
from slarisk.learning.splits import find_quarantined
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import UNREADABLE

if TYPE_CHECKING:
    from slarisk.arrays import Bools
    from slarisk.checks.context import CheckContext
    from slarisk.config import FeatureSet

_COUNTED = 40  # training tickets, each against the whole log
_TOLERANCE = 1e-9  # relative: sums may be taken in another order


def check_context(context: CheckContext) -> CheckResult:
    """SR024: context rests on what was known at the creation of a ticket.

    It is counted again for some training tickets, each from the tickets of the log that were
    created, ended or labelled before it. Labels that were assumed when the training period ended
    came after all of these.
    """
    features = context.config.features
    names = list_context_names(features)
    if not names:
        return passed("The features have no context.")
    rows = context.sampled[:: max(len(context.sampled) // _COUNTED, 1)][:_COUNTED]
    tickets = context.training.iloc[rows]
    log = _read_log(context)
    again = pd.DataFrame(
        [_count_again(log.before(ticket), features) for _, ticket in tickets.iterrows()],
        columns=names,
    )
    logged = tickets[names].reset_index(drop=True)
    same = np.isclose(logged, again.astype(float), rtol=_TOLERANCE, atol=0, equal_nan=True)
    if same.all():
        return passed(f"{len(names)} columns of {len(tickets)} tickets, counted again.")
    wrong = [name for name, fits in zip(names, same.T.tolist(), strict=True) if not all(fits)]
    return failed(
        f"Of {len(tickets)} training tickets {int((~same.all(axis=1)).sum())} have another context "
        f"when it is counted from what was known at their creation: {', '.join(wrong[:5])}"
        f"{f' and {len(wrong) - 5} more' if len(wrong) > 5 else ''}. It looks ahead."
    )


@dataclass(frozen=True, eq=False)
class _Log:
    """The tickets of an export, with what became known of each and when (NaT: never)."""

    tickets: pd.DataFrame
    begins: pd.Timestamp

    def before(self, ticket: pd.Series) -> _Moment:
        """Take what was known when a ticket was created."""
        return _Moment(
            self.tickets[self.tickets["created"] < ticket["created_at"]], ticket, self.begins
        )


@dataclass(frozen=True, eq=False)
class _Moment:
    known: pd.DataFrame
    ticket: pd.Series
    begins: pd.Timestamp

    def within(self, event: str, window: pd.Timedelta | None = None) -> Bools:
        """Mask of tickets of which an event came before the moment, at most a window before."""
        now = self.ticket["created_at"]
        mask = self.known[event] < now
        if window is not None:
            mask &= self.known[event] >= now - window
        found: Bools = mask.to_numpy(dtype=bool)
        return found

    def alike(self, group: str) -> Bools:
        """Mask of tickets of the same group."""
        mask = np.ones(len(self.known), dtype=np.bool_)
        for name in split_group(group):
            values, own = get_text(self.known, name), self.ticket[name]
            equal = values.isna() if pd.isna(own) else values == str(own)
            mask &= equal.to_numpy(dtype=bool)
        return mask

    def rate(self, group: str, window: pd.Timedelta) -> float:
        """Measure the breach rate of a group, drawn to that of all tickets."""
        lately, breach = self.within("known", window), self.known["breached"].to_numpy(dtype=bool)
        if not lately.any():
            return np.nan
        overall = float((lately & breach).sum() / lately.sum())
        if group == ALL:
            return overall
        own = lately & self.alike(group)
        drawn = (own & breach).sum() + PRIOR_TICKETS * overall
        return float(drawn / (own.sum() + PRIOR_TICKETS))


def _read_log(context: CheckContext) -> _Log:
    labelled = context.tickets
    assumed = np.zeros(len(labelled.frame), dtype=np.bool_)
    assumed[list(labelled.assumed)] = True
    parts = []
    for frame, hidden in ((labelled.frame, assumed), (labelled.unlabelled, None)):
        breach = frame["breach"].astype("boolean")
        trusted = breach.notna() & ~find_quarantined(
            frame, context.config.data.label, context.config.data.timezone
        )
        known = get_dates(frame, "label_known_at").where(trusted)
        created, ended = get_dates(frame, "created_at"), get_dates(frame, "resolved_at")
        groups = {name: get_text(frame, name) for name in context.fields if name in frame}
        part = pd.DataFrame(groups).assign(
            created=created,
            ended=ended.mask(ended < created, created),
            known=(known if hidden is None else known.mask(hidden)).astype("datetime64[us]"),
            breached=breach.fillna(False).astype(bool),
        )
        usable = created.notna() & frame["ticket_id"].notna() & (frame[UNREADABLE] == "")
        parts.append(part[usable.to_numpy(dtype=bool)])
    tickets = pd.concat([part for part in parts if len(part)], ignore_index=True)
    tickets["known"] = tickets["known"].mask(
        tickets["known"] < tickets["created"], tickets["created"]
    )
    return _Log(tickets, tickets["created"].min())


def _count_again(moment: _Moment, features: FeatureSet) -> dict[str, float]:
    names = list_context_names(features)
    now = moment.ticket["created_at"]
    if pd.isna(now) or now <= moment.begins:
        return dict.fromkeys(names, np.nan)
    values: dict[str, float] = {}
    for load in features.load:
        for name, group, count, hours in list_loads(load):
            if count == "open":
                counted = ~moment.within("ended")
            else:
                event = "created" if count == "arrived" else "ended"
                counted = moment.within(event, pd.Timedelta(hours=hours))
            whole = now - pd.Timedelta(hours=hours) >= moment.begins
            values[name] = float((counted & moment.alike(group)).sum()) if whole else np.nan
    for rates in features.rates:
        for name, group, days in list_rates(rates):
            values[name] = moment.rate(group, pd.Timedelta(days=days))
    for past in features.past:
        window = pd.Timedelta(days=past.days)
        for field in past.of:
            earlier = moment.known["created"][moment.within("created", window)
                                              & moment.alike(field)]  # fmt: skip
            last = (now - earlier.max()).total_seconds() / 3600
            made = (float(len(earlier)), moment.rate(field, window), last)
            nobody = pd.isna(moment.ticket[field])
            for name, value in zip(name_person(past, field), made, strict=True):
                values[name] = np.nan if nobody else value
    return values
