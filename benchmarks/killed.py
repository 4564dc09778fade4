"""What a scoring leaves that is killed: ``kill -9`` at random moments, again and again.

An export of made-up tickets is scored over an older result, and killed somewhere between its start
and its end. Afterwards the output must be the old one or the whole new one; the next scoring must
clear away what the killed one left.

``python benchmarks/killed.py [rounds] [tickets]``, from the repository root, by default 50 rounds
of 200,000 tickets. Prints what was found and leaves with 1 if an output was neither.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from slarisk.datasets.sample import generate_tickets

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"


def run(script: str, *overrides: str, folder: str) -> subprocess.Popen[bytes]:
    """Start a command in a folder, as a process group of its own."""
    environment = {key: os.environ[key] for key in os.environ if key != "MLFLOW_TRACKING_URI"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / script), *overrides],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a command that must succeed."""
    if process.wait():
        raise SystemExit("a command that was not killed failed")


def read(path: Path) -> pd.DataFrame:
    """Read an export without what differs from one scoring to the next."""
    return pd.read_csv(path, dtype="str").drop(columns="Scored_At")


def main(rounds: str = "50", tickets: str = "200000") -> int:
    """Kill and look."""
    rng = random.Random(0)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        sample = [f"data.path={DATA / 'sample_tickets.csv'}", "data.truth=null"]
        finish(run("train.py", "model=gbm", "cost=fading", *sample, folder=folder))
        finish(run("promote.py", "clearly_beat_baseline=false", folder=folder))
        made = generate_tickets(int(tickets), seed=11).tickets
        made.to_csv(Path(folder) / "tickets.csv", index=False)
        output = Path(folder) / "risk.csv"
        command = ["input=tickets.csv", "output=risk.csv"]
        finish(run("score.py", *command, folder=folder))  # warm
        started = time.monotonic()
        finish(run("score.py", *command, folder=folder))
        took = time.monotonic() - started
        whole = read(output)
        for _ in range(int(rounds)):
            output.write_text("old\n")
            process = run("score.py", *command, folder=folder)
            time.sleep(rng.uniform(0.3, 1.0) * took)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if output.read_bytes() == b"old\n":
                found["old"] += 1
            else:
                found["whole" if read(output).equals(whole) else "PARTIAL"] += 1
        finish(run("score.py", *command, folder=folder))
        left = [path.name for path in Path(folder).glob(".risk*")]
    print(f"one scoring takes {took:.1f} s; after kill -9 in its last 70%: {dict(found)}")
    print(f"left behind after the next scoring: {left or 'nothing'}")
    return 1 if found["PARTIAL"] or left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
