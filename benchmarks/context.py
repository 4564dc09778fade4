"""Context features of a large log, beside what pandas offers: rolling windows by group.

The rival counts with ``groupby(...).rolling(window, closed="left")`` over sorted events, one column
at a time. It knows neither open tickets nor what was known when, so both count arrivals: of all, by
priority, by team, and of a caller. Ours makes the history, and two more columns of the caller, too.
Then ours makes 10 columns with open tickets and breach rates.

``python benchmarks/context.py [tickets]``; prints seconds, the ratio, and the peak memory of a
process that makes the 10 columns.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from slarisk.config import DataPolicy, FeatureSet, Load, Past, Rates
from slarisk.learning.context import join_parts, list_context_names, record_tickets, take_context
from slarisk.tickets.fields import UNREADABLE

DATA = DataPolicy(name="desk", path="", columns={"ticket_id": "id", "resolved_at": "resolved"})
BOTH = FeatureSet(
    name="both",
    load=[Load(by=["all", "priority", "team"], counts=["arrived"], hours=[24.0])],
    past=[Past(of=["caller"], days=90.0)],
)
TEN = FeatureSet(
    name="ten",
    load=[Load(by=["all", "team"], counts=["open", "arrived"], hours=[24.0])],
    rates=[Rates(by=["all", "priority", "team"], days=[30.0])],
    past=[Past(of=["caller"], days=90.0)],
)


def make_log(tickets: int) -> pd.DataFrame:
    """A labelled log of two years with 200 teams and one caller to ten tickets."""
    rng = np.random.default_rng(0)
    created = np.datetime64("2022-01-01", "us") + np.sort(
        rng.integers(0, 730 * 86_400, tickets)
    ) * (np.timedelta64(1_000_000, "us"))
    took = rng.lognormal(2, 1.5, tickets) * 3_600_000_000
    ended = created + took.astype("timedelta64[us]")
    return pd.DataFrame(
        {
            "ticket_id": pd.Series(np.arange(tickets)).astype("str"),
            "created_at": created,
            "resolved_at": ended,
            "label_known_at": ended,
            "breach": rng.random(tickets) < 0.3,
            "priority": pd.Series(rng.integers(0, 4, tickets)).astype("str"),
            "team": pd.Series(rng.integers(0, 200, tickets)).astype("str"),
            "caller": pd.Series(rng.integers(0, tickets // 10, tickets)).astype("str"),
            UNREADABLE: pd.Series("", index=range(tickets), dtype="str"),
        }
    )


def count_ours(log: pd.DataFrame, features: FeatureSet) -> pd.DataFrame:
    """Make the columns as training does."""
    history = join_parts([record_tickets(log, features, DATA)], DATA)
    return take_context(log, features, history)


def count_theirs(log: pd.DataFrame) -> pd.DataFrame:
    """Count the arrivals."""
    events = log.set_index("created_at").assign(one=1.0)
    columns = {"all": events["one"].rolling("24h", closed="left").sum().to_numpy()}
    place = np.arange(len(log))
    for name, window in {"priority": "24h", "team": "24h", "caller": "90D"}.items():
        counted = (
            events.assign(place=place).groupby(name, sort=False)[["one", "place"]]
            .rolling(window, closed="left")["one"].sum()
        )  # fmt: skip
        rows = np.argsort(events[name].to_numpy(), kind="stable")
        columns[name] = counted.sort_index(level=0, kind="stable").to_numpy()[np.argsort(rows)]
    return pd.DataFrame(columns)


def main(tickets: str = "1000000", part: str = "") -> None:
    """Measure in turn, and the memory in a process of its own."""
    log = make_log(int(tickets))
    if part == "memory":
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        count_ours(log, TEN)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory {peak:,.0f} MB, {before:,.0f} MB of it before")
        return
    started = time.perf_counter()
    ours = count_ours(log, BOTH)
    middle = time.perf_counter()
    theirs = count_theirs(log)
    ended = time.perf_counter()
    names = {
        "all": "arrived_24h_all",
        "priority": "arrived_24h_by_priority",
        "team": "arrived_24h_by_team",
        "caller": "tickets_90d_of_caller",
    }
    late = ours["arrived_24h_all"].notna()  # the first day has no whole window
    for theirs_name, name in names.items():
        assert (theirs[theirs_name].fillna(0)[late] == ours[name][late]).all()
    ratio = (ended - middle) / (middle - started)
    print(f"{len(log):,} tickets, {ours.shape[1]} columns and history: {middle - started:.1f} s")
    print(f"four of these columns by pandas: {ended - middle:.1f} s: {ratio:.1f} times")
    started = time.perf_counter()
    count_ours(log, TEN)
    names = list_context_names(TEN)
    print(f"{len(names)} columns: {time.perf_counter() - started:.1f} s")
    subprocess.run([sys.executable, __file__, tickets, "memory"], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
