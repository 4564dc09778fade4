"""What it costs to look at open tickets.

``python benchmarks/open_tickets.py [tickets]``: training on the bundled sample with
``moment=open``, as a ratio to the same model at creation; and scoring of 1,000,000 tickets of which
few, or all, are open, as a ratio to the same export scored by a model at creation.
"""

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir

from slarisk.command_line import register_schemas
from slarisk.datasets.sample import generate_tickets
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.prepare import prepare
from slarisk.typed_config import type_config

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 3
MODELS = {
    "lr": ["model=lr"],
    "gbm": ["model=gbm"],
    "rf, landmarks.fitted=1": ["model=rf", "landmarks.fitted=1"],
}


def measure(steps):
    """The seconds of each step, the least of the rounds, taken in turn."""
    seconds = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    return {name: min(each) for name, each in seconds.items()}


def fit(*overrides):
    """Train without logging, and give the bundle."""
    with initialize_config_dir(str(ROOT / "conf"), job_name="benchmark"):
        config = type_config(compose("train", [f"data.path={ROOT}/data/sample_tickets.csv",
                                               "data.truth=null", *overrides]))  # fmt: skip
    return fit_and_evaluate(config, prepare(config)).bundle


def lay_out(folder, tickets, open_share):
    """An export in which so many tickets are open at its end."""
    table = generate_tickets(12_000, seed=1).tickets
    rows = np.random.default_rng(0).integers(0, len(table), tickets)
    table = table.iloc[rows].reset_index(drop=True)
    table["Ticket ID"] = "N" + table.index.astype(str)
    still_open = np.arange(len(table)) < open_share * len(table)
    ends = pd.to_datetime(table["Created At"]).max()
    moved = ends - pd.to_timedelta(np.arange(len(table)) % 180, unit="min")
    table["Created At"] = table["Created At"].mask(still_open, moved.strftime("%Y-%m-%d %H:%M:%S"))
    table["Time to Resolution"] = table["Time to Resolution"].mask(still_open)
    path = folder / f"export-{open_share}.csv"
    table.to_csv(path, index=False)
    return path


def main(tickets):
    register_schemas()
    for name, overrides in MODELS.items():
        steps = {
            "at creation": lambda o=overrides: fit(*o),
            "open": lambda o=overrides: fit(*o, "moment=open"),
        }
        took = measure(steps)
        print(f"training, {name}: {took['open']:.1f} s beside {took['at creation']:.1f} s: "
              f"{took['open'] / took['at creation']:.1f} times", flush=True)  # fmt: skip
    bundles = {"at creation": fit("model=gbm"), "open": fit("model=gbm", "moment=open")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for share in (0.01, 1.0):
            source = lay_out(folder, tickets, share)
            output = folder / "out.csv"
            tasks = {
                kind: Task(bundle, bundle.manifest.decision, str(source), output,
                           Path(f"{output}.rejected.csv"), "1", "now")
                for kind, bundle in bundles.items()
            }  # fmt: skip
            took = measure(
                {kind: lambda t=task: score_stream(replace(t)) for kind, task in tasks.items()}
            )
            ratio = took["open"] / took["at creation"]
            print(f"scoring {tickets:,} tickets, {share:.0%} of them open: {took['open']:.1f} s "
                  f"beside {took['at creation']:.1f} s: {ratio:.2f} times", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
