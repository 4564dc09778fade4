"""What the clock costs.

``python benchmarks/clock.py [hours [tickets]]`` counts the hours of 1,000,000 tickets on a calendar
and finds when their targets pass. It prints the ratio to ``clock=always``, and to the same count
with ``numpy.busday_count``, which knows neither time zones nor more than one shift a day; where it
can count, both must agree.

``python benchmarks/clock.py labels [tickets]`` labels 2,000,000 tickets with each clock, and reads
them from a CSV as a run does; ``python benchmarks/clock.py scoring [tickets]`` scores as many.
"""

import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir

from slarisk.command_line import register_schemas
from slarisk.config import (
    Clock,
    CostPolicy,
    DataPolicy,
    Known,
    PublicHolidays,
    SlaPolicy,
    Week,
)
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
from slarisk.tickets.labels import label_tickets
from slarisk.tickets.prepare import prepare_tickets
from slarisk.times.clock import TicketClock, unite_pauses
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.prepare import prepare
from slarisk.typed_config import type_config

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
OFFICE = ["08:00-18:00"]
WEEK = Week(OFFICE, OFFICE, OFFICE, OFFICE, OFFICE)
HOLIDAYS = [PublicHolidays("DE", "BY")]
PLAIN = Clock(name="office", week=WEEK, holidays=HOLIDAYS)
CLOCKS = {"clock=always": Clock(), "Mon-Fri 8-18, holidays": PLAIN}
BERLIN = replace(PLAIN, timezone="Europe/Berlin")
TARGETS = {"Critical": 4.0, "High": 8.0, "Normal": 24.0, "Low": 72.0}


def draw_tickets(count):
    """Draw five years of tickets that take up to ten days, with their targets."""
    rng = np.random.default_rng(1)
    start = np.datetime64("2020-01-01", "us")
    created = start + rng.integers(0, 5 * 365 * 86_400, count).astype("timedelta64[s]")
    resolved = created + rng.integers(0, 10 * 86_400, count).astype("timedelta64[s]")
    return pd.DataFrame(
        {
            "ticket_id": np.arange(count).astype(str),
            "created_at": created,
            "resolved_at": resolved,
            "priority": rng.choice(list(TARGETS), count),
        }
    )


def count_with_busday(created, resolved, days):
    """Count hours of Monday to Friday, 8 to 18, with NumPy's calendar of whole days."""
    off = np.array(days, dtype="datetime64[D]")

    def parts(moments):
        day = moments.astype("datetime64[D]")
        hours = (moments - day) / np.timedelta64(1, "h")
        return day, np.where(np.is_busday(day, holidays=off), np.clip(hours, 8, 18) - 8, 0)

    (first, before), (last, after) = parts(created), parts(resolved)
    return 10 * np.busday_count(first, last, holidays=off) - before + after


def measure(function):
    """Give the fastest of some rounds, in seconds, and the result."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result


def compare_clocks(count):
    """Count hours and find deadlines with each clock."""
    import holidays

    tickets = draw_tickets(count)
    hours = tickets["priority"].map(TARGETS)
    codes = np.zeros(count, dtype=np.int64)
    rng = np.random.default_rng(2)
    owner = np.sort(rng.integers(0, count, count // 2))
    begin = tickets["created_at"].to_numpy().astype(np.int64)[owner]
    begin += rng.integers(0, 3 * 86_400, len(owner)) * 1_000_000
    paused = unite_pauses(owner, begin, begin + rng.integers(0, 86_400, len(owner)) * 1_000_000)
    clocks = {
        "clock=always": TicketClock([Clock()], codes),
        "Mon-Fri 8-18, holidays": TicketClock([PLAIN], codes),
        "... in Europe/Berlin": TicketClock([BERLIN], codes),
        "... Critical 24/7": TicketClock(
            [BERLIN, Clock()], (tickets["priority"] == "Critical").to_numpy().astype(np.int64)
        ),
        f"... {len(paused.tickets):,} pauses": TicketClock([BERLIN], codes, None, paused),
    }
    taken = {}
    first = None
    for name, clock in clocks.items():
        seconds, taken[name] = measure(
            lambda clock=clock: (
                clock.elapsed(tickets["created_at"], tickets["resolved_at"]),
                clock.pass_at(tickets["created_at"], hours),
            )
        )
        first = first or seconds
        print(f"{name:28} {seconds:6.2f} s for {count:,} tickets, {seconds / first:5.1f} x always")
    days = list(holidays.country_holidays("DE", subdiv="BY", years=range(2019, 2027)))
    arrays = [tickets[name].to_numpy() for name in ("created_at", "resolved_at")]
    rival, counted = measure(lambda: count_with_busday(*arrays, days))
    plain = clocks["Mon-Fri 8-18, holidays"]
    ours, elapsed = measure(lambda: plain.elapsed(tickets["created_at"], tickets["resolved_at"]))
    assert np.abs(elapsed / pd.Timedelta(hours=1) - counted).max() < 1e-6
    print(f"{'numpy.busday_count':28} {rival:6.2f} s for the hours alone, ours {ours:.2f} s: "
          f"{ours / rival:.2f} x")  # fmt: skip


def compare_labels(count):
    """Label tickets in memory, and from a file, with each clock."""
    fields = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done", "priority": "Prio"}
    known = Known(created=["ticket_id", "created_at", "priority"], resolved=["resolved_at"])
    tickets = draw_tickets(count)
    sla = SlaPolicy("standard", TARGETS, {name: 10.0 for name in TARGETS})
    cost = CostPolicy("charged", 20, 1, 0.8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tickets.csv"
        tickets.rename(columns=fields).to_csv(path, index=False)
        data = DataPolicy(name="drawn", path=str(path), columns=fields, known=known)
        typed, seen = tickets.assign(unreadable_dates=""), pd.Timestamp("2026-01-01")
        compare(
            {
                f"{what}, {name}": partial(function, replace(sla, clock=clock))
                for what, function in {
                    "label": lambda policy: label_tickets(typed, data, policy, seen),
                    "read and label": lambda policy: prepare_tickets(data, policy, cost),
                }.items()
                for name, clock in CLOCKS.items()
            },
            count,
        )


def compare_scoring(count):
    """Score tickets, a part of them open, with models that differ in their clock alone."""
    register_schemas()
    with initialize_config_dir(str(ROOT / "conf"), job_name="clock"):
        small = ["model=lr", "evaluation.bootstrap_draws=10", "evaluation.threshold_draws=10"]
        config = type_config(compose("train", small))
    bundle = fit_and_evaluate(config, prepare(config)).bundle
    sample = pd.read_csv(ROOT / "data" / "sample_tickets.csv", dtype="str")
    export = pd.concat([sample] * (count // len(sample) + 1), ignore_index=True).head(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export.assign(**{"Ticket ID": np.arange(count)}).to_csv(folder / "new.csv", index=False)

        def score(clock):
            manifest = replace(bundle.manifest, sla=replace(bundle.manifest.sla, clock=clock))
            task = Task(
                bundle=replace(bundle, manifest=manifest),
                decision=manifest.decision,
                source=str(folder / "new.csv"),
                output=folder / "risk.csv",
                rejected=folder / "rejected.csv",
                version="1",
                scored_at="now",
            )
            return score_stream(task)

        compare({f"score, {name}": partial(score, clock) for name, clock in CLOCKS.items()}, count)


def compare(functions, count):
    """Take turns, so that what else the machine does falls on all alike; print the fastest."""
    seconds = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    for name, each in seconds.items():
        always = min(seconds[f"{name.split(', ')[0]}, clock=always"])
        print(
            f"{name:40} {min(each):6.2f} s for {count:,} tickets, {min(each) / always:.2f} x always"
        )


MODES = {"hours": compare_clocks, "labels": compare_labels, "scoring": compare_scoring}

if __name__ == "__main__":
    mode = sys.argv[1] if sys.argv[1:] else "hours"
    MODES[mode](int(sys.argv[2]) if sys.argv[2:] else 1_000_000 if mode == "hours" else 2_000_000)
