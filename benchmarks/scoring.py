"""How fast ``score.py`` is, and how much memory it takes.

The tickets come from the generator of the bundled sample, as many as wanted and no two alike; the
models are the defaults, trained on the sample. Every measurement is a process of its own, from its
start to its end: for ``score.py`` that is imports, the registry, the files, the drift and the run
that is logged.

``python benchmarks/scoring.py speed [tickets] [rounds]`` compares, in turn and as medians, gbm with
a bare pass of pyarrow through the same columns, and the straightforward way with rf: the passes by
themselves (``scoring_pass.py``: all imported, the model loaded), and the whole commands.
``python benchmarks/scoring.py memory [millions ...]`` prints the peak
memory of gbm, by default for 1, 5 and 20 million tickets. ``python benchmarks/scoring.py engines
[tickets] [rounds]`` prints the wall time of gbm by either engine (``make spark``). From the
repository root.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from slarisk.datasets.sample import generate_tickets

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
PASS = str(ROOT / "benchmarks" / "scoring_pass.py")
_AT_ONCE = 1_000_000


def write_tickets(path: Path, tickets: int) -> None:
    """Write made-up tickets: a million at a time, each million from a seed of its own."""
    for part, start in enumerate(range(0, tickets, _AT_ONCE)):
        table = generate_tickets(min(_AT_ONCE, tickets - start), seed=100 + part).tickets
        table["Ticket ID"] = f"{part}-" + table["Ticket ID"].astype("str")
        table.to_csv(path, mode="a", header=part == 0, index=False)


def write_apart(path: Path, tickets: int) -> None:
    """Write tickets in a process of its own: a child's peak memory is never below its parent's."""
    subprocess.run([sys.executable, __file__, "write", str(path), str(tickets)], check=True)


def measure(command: list[str], folder: str) -> tuple[float, float, str]:
    """Run a command; gives its wall time in seconds, its peak memory in MB, and what it printed."""
    environment = {key: os.environ[key] for key in os.environ if key != "MLFLOW_TRACKING_URI"}
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=environment, stdout=printed
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"failed: {' '.join(command)}")
        printed.seek(0)
        return seconds, usage.ru_maxrss / 1024, printed.read()


def train(model: str, folder: str) -> tuple[str, str]:
    """Train a model; gives its run and the folder of its bundle."""
    overrides = [f"model={model}", f"data.path={DATA / 'sample_tickets.csv'}", "data.truth=null"]
    out = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *overrides],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    newest = max(Path(folder).rglob("bundle.json"), key=lambda path: path.stat().st_mtime)
    return out.split()[-1], str(newest.parent)


def compare_speed(tickets: str = "1000000", rounds: str = "5") -> None:
    """Measure in turn, after one round that does not count."""
    with tempfile.TemporaryDirectory() as folder:
        (gbm, trees), (rf, forest) = train("gbm", folder), train("rf", folder)
        write_apart(Path(folder) / "tickets.csv", int(tickets))
        passes = {
            "gbm": ["stream", "tickets.csv", "gbm.csv", trees],
            "bare": ["bare", "tickets.csv", "bare.csv"],
            "rf": ["stream", "tickets.csv", "rf.csv", forest],
            "straight": ["straight", "tickets.csv", "straight.csv", forest],
        }
        score = [str(ROOT / "score.py"), "input=tickets.csv", "output=risk.csv"]
        commands = {"gbm": [*score, f"run_id={gbm}"], "rf": [*score, f"run_id={rf}"]}
        ratios: dict[str, list[float]] = {}
        for number in range(int(rounds) + 1):
            seconds = {}
            for name, arguments in passes.items():
                whole, _, told = measure([PASS, *arguments], folder)
                seconds[name, "pass"] = float(told)
                seconds[name, "command"] = whole  # imports and model included
            for name, command in commands.items():
                seconds[name, "command"], _, _ = measure(command, folder)
            if not number:
                continue
            for kind in ("pass", "command"):
                ours, bare = seconds["gbm", kind], seconds["bare", kind]
                rest, straight = seconds["rf", kind], seconds["straight", kind]
                ratios.setdefault(f"{kind}, gbm / bare", []).append(ours / bare)
                ratios.setdefault(f"{kind}, straightforward / rf", []).append(straight / rest)
                print(
                    f"{kind:8} gbm {ours:5.2f} s   bare {bare:5.2f} s   ratio {ours / bare:5.2f}"
                    f"      rf {rest:5.2f} s   straightforward {straight:5.2f} s   "
                    f"ratio {straight / rest:5.2f}",
                    flush=True,
                )
        risks = [
            pd.read_csv(Path(folder) / f"{name}.csv", usecols=["Pred_Breach_Prob"])
            for name in ("rf", "straight")
        ]
        if not risks[0].equals(risks[1]):
            raise SystemExit("the two ways of rf come to other numbers")
    for name, values in ratios.items():
        print(f"{int(tickets):,} tickets, {name}: median {statistics.median(values):.2f}")


def measure_memory(*millions: str) -> None:
    """Measure the peak memory of gbm."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        gbm, _ = train("gbm", folder)
        for size in millions or ("1", "5", "20"):
            path = Path(folder) / "tickets.csv"
            path.unlink(missing_ok=True)
            write_apart(path, int(float(size) * 1_000_000))
            command = ["input=tickets.csv", "output=risk.csv", f"run_id={gbm}"]
            seconds, peak, _ = measure([str(ROOT / "score.py"), *command], folder)
            peaks.append(peak)
            print(f"{size} million tickets: {peak:.0f} MB at most, {seconds:.1f} s", flush=True)
    print(f"most / least: {max(peaks) / min(peaks):.2f}")


def compare_engines(tickets: str = "1000000", rounds: str = "3") -> None:
    """Measure both engines in turn."""
    times: dict[str, list[float]] = {"local": [], "spark": []}
    with tempfile.TemporaryDirectory() as folder:
        gbm, _ = train("gbm", folder)
        write_apart(Path(folder) / "tickets.csv", int(tickets))
        for _ in range(int(rounds)):
            for engine, seconds in times.items():
                command = ["input=tickets.csv", f"output={engine}.csv", f"run_id={gbm}"]
                ours, _, _ = measure([str(ROOT / "score.py"), f"engine={engine}", *command], folder)
                seconds.append(ours)
                print(f"{engine} {ours:.1f} s", flush=True)
    told = ", ".join(f"{name} {statistics.median(each):.1f} s" for name, each in times.items())
    print(f"{int(tickets):,} tickets: median {told}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["speed", *rest]:
            compare_speed(*rest)
        case ["memory", *rest]:
            measure_memory(*rest)
        case ["engines", *rest]:
            compare_engines(*rest)
        case ["write", path, tickets]:
            write_tickets(Path(path), int(tickets))
        case _:
            raise SystemExit("python benchmarks/scoring.py speed|memory|engines ...")
