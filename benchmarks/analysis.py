"""What an analysis of many tickets costs: ``analyze.py`` against ``pandas.read_csv`` alone.

The file is the bundled sample over and over, every ticket under an id of its own and at a time
shifted by whole years, so that all tables and tests have something to do. Both read the same file,
in turn, each a process of its own.

``python benchmarks/analysis.py [tickets] [rounds]``, from the repository root, by default a
million tickets and 3 rounds. Prints the ratio of processor times, which a busy machine disturbs
less than a clock; that of the part that is the analysis proper (the rest reads, checks, labels and
tracks); wall times and peak memory.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "data" / "sample_tickets.csv"
READ = "import sys, pandas; pandas.read_csv(sys.argv[1])"
# the command, with a clock around what is done with the labelled tickets
TIMED = """
import sys, time
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from slarisk.commands import analyze as command
from slarisk.command_line import register_schemas
spent = []
def clock(step):
    def timed(*arguments):
        started = time.process_time()
        result = step(*arguments)
        spent.append(time.process_time() - started)
        return result
    return timed
command.analyse_tickets = clock(command.analyse_tickets)
command.write_report = clock(command.write_report)
register_schemas()
with initialize_config_dir(sys.argv[2]):
    command.analyze(OmegaConf.to_object(compose("analyze", ["data.path=" + sys.argv[1]])))
print("proper", sum(spent))
"""


def write_file(path: Path, tickets: int) -> None:
    """Repeat the sample until there are so many tickets, with new ids and dates."""
    sample = pd.read_csv(SAMPLE, dtype="str", keep_default_na=False)
    dates = ["Created At", "First Response Time", "Time to Resolution"]
    times = {name: pd.to_datetime(sample[name]) for name in dates}
    done, part = 0, 0
    while done < tickets:
        table = sample.iloc[: tickets - done].copy()
        table["Ticket ID"] = [f"{part}-{number}" for number in table["Ticket ID"]]
        for name in dates:
            shifted = times[name].iloc[: len(table)] + pd.DateOffset(days=364 * (part % 20))
            table[name] = shifted.dt.strftime("%Y-%m-%d %H:%M:%S").fillna("")
        table.to_csv(path, mode="a", header=part == 0, index=False)
        done, part = done + len(table), part + 1


@dataclass(frozen=True)
class Measured:
    """What a process took: seconds of the processor and of the clock, and MB at its peak."""

    cpu: float
    wall: float
    memory: float
    out: str

    def __str__(self) -> str:
        return f"{self.cpu:5.1f} s of CPU, {self.wall:5.1f} s, {self.memory:5.0f} MB"


def measure(code: str, arguments: list[str], folder: str) -> Measured:
    """Run code in a process of its own."""
    environment = {key: os.environ[key] for key in os.environ if key != "MLFLOW_TRACKING_URI"}
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes elsewhere
    wall, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return Measured(cpu, wall, usage.ru_maxrss * unit / 1e6, out)


def main(tickets: str = "1000000", rounds: str = "3") -> None:
    """Measure in turn."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tickets.csv"
        write_file(path, int(tickets))
        print(f"{int(tickets):,} tickets, {path.stat().st_size / 1e6:.0f} MB")
        ratios, propers = [], []
        for _ in range(int(rounds)):
            read = measure(READ, [str(path)], folder)
            whole = measure(TIMED, [str(path), str(ROOT / "conf")], folder)
            proper = float(whole.out.rsplit("proper", 1)[1])
            ratios.append(whole.cpu / read.cpu)
            propers.append(proper / read.cpu)
            print(f"read_csv {read}   analyze.py {whole}, analysis proper {proper:.1f} s of CPU")
            print(f"  ratio {ratios[-1]:.1f}, analysis proper {propers[-1]:.1f}", flush=True)
        print(
            f"analyze.py / read_csv: median ratio {statistics.median(ratios):.1f}; "
            f"analysis proper / read_csv: {statistics.median(propers):.1f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
