"""What all tests share."""

from __future__ import annotations

import os

# The tests run in several processes: threads in each would wait for one another. OpenMP and linear
# algebra read this when they are loaded, and so do the commands that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

import logging
import runpy
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from slarisk.analysis.fields import Field, Outcomes
from slarisk.command_line import register_schemas
from slarisk.config import Tracking, WorkingHours
from slarisk.datasets.sample import generate_tickets
from slarisk.tracking.relocation import follow_move
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.items import model_items, result_items
from slarisk.training.prepare import prepare
from slarisk.training.run import find_importance
from slarisk.typed_config import type_config

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = "SLARISK_REAL_DATA"


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Find a real export, or skip: the files are not the project's to redistribute."""

    def find(name: str) -> Path:
        folders = [os.environ.get(REAL_DATA), ROOT / "data", ROOT.parent / "shared" / "data"]
        for folder in folders:
            if folder and (path := Path(folder) / name).exists():
                return path
        pytest.skip(f"{name} is not there; name its folder in {REAL_DATA}")

    return find


@pytest.fixture(scope="session")
def composed() -> Callable[..., Any]:
    """Compose a config of the repository, as a command would; the same one only once."""
    register_schemas()

    @cache
    def compose_once(root: str, overrides: tuple[str, ...]) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), job_name="test"):
            return compose(root, list(overrides))

    def make(*overrides: str, root: str = "train", search: Path | None = None) -> Any:
        more = [f"hydra.searchpath=[file://{search}]"] if search else []
        return type_config(compose_once(root, (*overrides, *more)))

    return make


# Tickets as the analysis sees them ----------------------------------------------------------------


@pytest.fixture
def code() -> Callable[..., Field]:
    """Codes a list of values as a field, its levels by name."""

    def code_values(name: str, values: Any, natural: bool = False) -> Field:
        codes, levels = pd.factorize(np.asarray(values, dtype=object), sort=True)
        return Field(name, codes.astype(np.int64), tuple(map(str, levels)), natural)

    return code_values


@pytest.fixture
def outcome() -> Callable[..., Outcomes]:
    """Makes the outcomes of tickets; what is not given is not known."""

    def make(
        breach: Any,
        price: Any = 1.0,
        hours: Any = np.nan,
        target: Any = np.nan,
        created: Any = "NaT",
    ) -> Outcomes:
        breach = np.asarray(breach, dtype=bool)
        return Outcomes(
            breach,
            np.broadcast_to(np.asarray(price, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(hours, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(target, float), breach.shape).copy(),
            np.broadcast_to(np.asarray(created, "datetime64[us]"), breach.shape).copy(),
        )

    return make


# Commands, in this process: importing MLflow takes seconds --------------------------------------

# what spares a test work: the data of `write_tickets`, few draws, no importance
ON_TICKETS = [
    "data.path=tickets.csv",
    "data.truth=null",
    "cost.effect=fading",  # all of it at creation, so that arithmetic by hand stays short
    "evaluation.bootstrap_draws=100",
    "evaluation.threshold_draws=50",
    "evaluation.importance_repeats=0",
]


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 compares the column names of a model's example with a range
    config.addinivalue_line(
        "filterwarnings", "ignore:Operation with range is deprecated:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def write_tickets() -> Callable[..., Path]:
    """Write an export whose breaches depend on the channel alone, which no trivial rule sees.

    All that is met takes nearly all of its target, so that a timer comes too late.
    """

    def write(path: Path, tickets: int = 600, seed: int = 0) -> Path:
        rng = np.random.default_rng(seed)
        priority = rng.choice(["Critical", "High", "Normal"], tickets)
        channel = rng.choice(["Email", "Phone", "Chat"], tickets)
        chance = pd.Series(channel).map({"Email": 0.85, "Phone": 0, "Chat": 0}).to_numpy()
        hours = pd.Series(priority).map({"Critical": 4, "High": 8, "Normal": 24})
        late = rng.random(tickets) < chance
        created = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(tickets) * 5.0, unit="h")
        resolved = created + pd.to_timedelta(hours.to_numpy() * np.where(late, 1.5, 0.95), unit="h")
        table = pd.DataFrame(
            {
                "Ticket ID": [f"T{n:04}" for n in range(tickets)],
                "Customer Name": "Ada Lovelace",
                "Customer Email": "ada@example.com",
                "Ticket Description": "My secret diary does not open",
                "Customer Age": rng.integers(18, 80, tickets),
                "Date of Purchase": "2023-05-01",
                "Product Purchased": rng.choice(["Camera", "Router"], tickets),
                "Ticket Type": rng.choice(["Refund request", "Billing inquiry"], tickets),
                "Ticket Subject": "Other",
                "Ticket Status": "Closed",
                "Ticket Priority": priority,
                "Ticket Channel": channel,
                "Created At": created.strftime("%Y-%m-%d %H:%M:%S"),
                "First Response Time": created.strftime("%Y-%m-%d %H:%M:%S"),
                "Time to Resolution": resolved.strftime("%Y-%m-%d %H:%M:%S"),
            }
        )
        table.to_csv(path, index=False)
        return path

    return write


DESK_LOG = """\
defaults:
  - override /split@_global_.split: temporal
name: desk
path: {path}
date_formats: ["%Y-%m-%d %H:%M:%S"]
events: {{order: seq, changed_at: written_at}}
columns:
  ticket_id: number
  seq: seq
  written_at: updated
  created_at: opened
  resolved_at: solved
  priority: prio
  ticket_type: kind
  channel: channel
  status: state
  team: team
dates: [written_at]
known:
  created: [ticket_id, created_at, priority, ticket_type, channel, team]
  resolved: [resolved_at]
  changing: [priority, status, team]
features:
  categorical: [priority, ticket_type, channel, team]
  changing: [status]
  so_far: [events, idle, changes of team, changes of status]
"""


def lay_out_events(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Lay a table of the sample out as a log; what happens to a ticket tells how it will end."""
    rng = np.random.default_rng(seed)
    opened = pd.to_datetime(table["Created At"])
    solved = pd.to_datetime(table["Time to Resolution"])
    took = (solved - opened).dt.total_seconds().to_numpy() / 3600
    rows = []
    for place in range(len(table)):
        hours = took[place] if took[place] == took[place] else 200.0
        moves = 1 + int(rng.poisson(min(hours, 100) / 12))
        ages = np.sort(rng.uniform(0, hours, moves))
        states = rng.choice(
            ["Working", "Waiting"], moves, p=[0.3, 0.7] if hours > 24 else [0.7, 0.3]
        )
        teams = rng.choice(["North", "South", "East"], moves + 1)
        steps = [(0.0, "New", teams[0]), *zip(ages, states, teams[1:], strict=True)]
        steps += [(hours, "Solved", teams[-1])] if took[place] == took[place] else []
        rows += [
            (place, number, age, state, team) for number, (age, state, team) in enumerate(steps)
        ]
    log = pd.DataFrame(rows, columns=["place", "seq", "age", "state", "team"])
    source = table.iloc[log["place"]].reset_index(drop=True)
    written = opened.iloc[log["place"]].reset_index(drop=True) + pd.to_timedelta(log["age"], "h")
    return pd.DataFrame(
        {
            "number": "T" + log["place"].astype(str),
            "seq": log["seq"],
            "updated": written.dt.floor("s").astype(str),
            "opened": source["Created At"],
            "solved": source["Time to Resolution"].fillna(""),  # filled in on every event: it leaks
            "prio": source["Ticket Priority"],
            "kind": source["Ticket Type"],
            "channel": source["Ticket Channel"],
            "state": log["state"],
            "team": log["team"],
        }
    )


@pytest.fixture(scope="session")
def desk_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log of a made-up desk, events.csv, and its policy: data=desk."""
    folder = tmp_path_factory.mktemp("desk")
    table = generate_tickets(1_500, seed=3).tickets
    lay_out_events(table).to_csv(folder / "events.csv", index=False)
    (folder / "data").mkdir()
    (folder / "data" / "desk.yaml").write_text(DESK_LOG.format(path=folder / "events.csv"))
    return folder


def log_blank(figure: Any, artifact_file: str) -> None:
    """Log an empty file for a figure: to draw them is a third of a run's work.

    Figures are drawn in the tests of each plot, and by real commands.
    """
    import mlflow

    mlflow.log_text("", artifact_file)


@contextmanager
def at_store(path: Path) -> Iterator[None]:
    """Point MLflow at a database and work in its folder; leave nothing of it behind."""
    with warnings.catch_warnings():
        # pytest's own filters do not reach a fixture of the session
        warnings.filterwarnings("ignore", message=".*type hint .*is inferred as AnyType")
        import mlflow
        import mlflow.pyfunc

    names = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")
    names += ("MLFLOW_HTTP_REQUEST_MAX_RETRIES",)
    before = {name: os.environ.pop(name, None) for name in names}
    here = Path.cwd()
    os.chdir(path.parent)
    mlflow.set_tracking_uri(f"sqlite:///{path}")
    try:
        with patch.object(mlflow, "log_figure", log_blank):
            yield
        assert mlflow.active_run() is None
    finally:
        mlflow.end_run("KILLED")
        mlflow.set_tracking_uri("")
        os.chdir(here)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def at_copy(store: Path, folder: Path) -> Iterator[None]:
    """Copy the folder of a store, and work there."""
    shutil.copytree(store, folder, dirs_exist_ok=True)
    follow_move(folder / "mlflow.db")
    with at_store(folder / "mlflow.db"):
        yield


@pytest.fixture(scope="session", name="at_store")
def _at_store() -> Callable[[Path], AbstractContextManager[None]]:
    return at_store


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh MLflow database: its migrations take seconds, a copy of the file takes none."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with at_store(path):
        import mlflow

        mlflow.search_experiments()
    return path


@pytest.fixture
def place(tmp_path: Path, migrated_store: Path) -> Iterator[Path]:
    """A folder to work in, with an MLflow store of its own."""
    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    with at_store(tmp_path / "mlflow.db"):
        yield tmp_path


@pytest.fixture(scope="session")
def train_on(composed: Callable[..., Any]) -> Callable[..., float]:
    """Train on `tickets.csv` in the working folder."""

    def train_quickly(*overrides: str) -> float:
        from slarisk.commands.train import train

        model = "" if any(each.startswith("model=") for each in overrides) else "model=lr"
        config = composed(*ON_TICKETS, *filter(None, [model]), *overrides)
        # what Hydra knows of a command line, and a composed config does not
        config.choices = {"data": "sample", "model": config.model["_target_"].split(".")[-1]}
        return train(config)

    return train_quickly


@pytest.fixture(scope="session")
def trained_store(
    tmp_path_factory: pytest.TempPathFactory,
    migrated_store: Path,
    write_tickets: Callable[..., Path],
    train_on: Callable[..., float],
) -> Path:
    """A folder with an export and three runs on it; see `trained`."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copy(migrated_store, folder / "mlflow.db")
    write_tickets(folder / "tickets.csv")
    with at_store(folder / "mlflow.db"):
        train_on("features.categorical=[priority]", "features.calendar=[]")
        train_on()
        train_on("decision=grid")
    return folder


@pytest.fixture
def trained(tmp_path: Path, trained_store: Path) -> Iterator[Path]:
    """A folder with three runs of logistic regression: blind to the channel, good, optimistic."""
    with at_copy(trained_store, tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def champion_store(
    tmp_path_factory: pytest.TempPathFactory, trained_store: Path, composed: Callable[..., Any]
) -> Path:
    """A folder as that of `trained`, with a champion; see `champion`."""
    from slarisk.commands.promote import promote

    folder = tmp_path_factory.mktemp("champion")
    with at_copy(trained_store, folder):
        promote(composed("bootstrap_draws=200", "fewest_tickets=100", root="promote"))
    return folder


@pytest.fixture
def champion(tmp_path: Path, champion_store: Path) -> Iterator[Path]:
    """A folder in which the good run of `trained` is in charge."""
    with at_copy(champion_store, tmp_path):
        yield tmp_path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command as its script does, but in this process."""

    def run_script(command: str, *overrides: str) -> Ended:
        capsys.readouterr()
        with _undone():
            sys.argv = [f"{command}.py", *overrides]
            with pytest.raises(SystemExit) as left:
                runpy.run_path(str(ROOT / f"{command}.py"), run_name="__main__")
        out, err = capsys.readouterr()
        return Ended(int(left.value.code or 0), out, err)

    return run_script


@contextmanager
def _undone() -> Iterator[None]:
    """Undo what a command does to its process."""
    arguments = sys.argv
    handlers, level = list(logging.root.handlers), logging.root.level
    numbers = (signal.SIGTERM, signal.SIGHUP)
    listening = {number: signal.getsignal(number) for number in numbers}
    full_error = os.environ.get("HYDRA_FULL_ERROR")
    hook = sys.unraisablehook
    try:
        yield
    finally:
        sys.unraisablehook = hook
        sys.argv = arguments
        logging.root.handlers, logging.root.level = handlers, level
        for number, handler in listening.items():
            signal.signal(number, handler)
        HydraConfig.instance().cfg = None
        os.environ.pop("HYDRA_FULL_ERROR", None)
        if full_error is not None:
            os.environ["HYDRA_FULL_ERROR"] = full_error


# A training run whose parts are looked at --------------------------------------------------------


@pytest.fixture(scope="session")
def judge_tickets(
    composed: Callable[..., Any],
    write_tickets: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Any]:
    """Train and evaluate a small model, and log nothing."""

    export = write_tickets(tmp_path_factory.mktemp("export") / "tickets.csv")

    def judge(*overrides: str) -> Any:
        config = composed(
            f"data.path={export}",
            "data.truth=null",
            "model=lr",
            "evaluation.bootstrap_draws=50",
            "evaluation.threshold_draws=5",
            "evaluation.importance_repeats=1",
            *overrides,
        )
        config.choices = {"data": "sample", "model": "lr"}
        return fit_and_evaluate(config, prepare(config))

    return judge


@pytest.fixture(scope="session")
def report() -> Callable[[Any], list[Any]]:
    """All that a single run logs of its result."""

    return lambda trained: [
        *result_items(trained),
        *model_items(trained, find_importance(trained)),
    ]


@pytest.fixture(scope="session")
def judged(judge_tickets: Callable[..., Any]) -> Any:
    """The result of a small training run."""
    return judge_tickets()


@pytest.fixture(scope="session")
def logged_store(
    judged: Any,
    report: Callable[[Any], list[Any]],
    migrated_store: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """A store with one run, its config and its model: logging one takes a second, a copy none."""
    from slarisk.tracking.log import log_items
    from slarisk.tracking.source import Source
    from slarisk.tracking.store import open_store, tracked_run
    from slarisk.training.items import start_items

    folder = tmp_path_factory.mktemp("logged")
    shutil.copy(migrated_store, folder / "mlflow.db")
    with at_store(folder / "mlflow.db"):
        open_store(Tracking(name="local"))
        with tracked_run("run", {}) as run_id:
            log_items(start_items(judged.config, Source("abc", "")))
            log_items(report(judged))
    return folder, run_id


@pytest.fixture
def logged_run(logged_store: tuple[Path, str], place: Path) -> str:
    """A run with a model, in a store of its own."""
    folder, run_id = logged_store
    shutil.copytree(folder, place, dirs_exist_ok=True)
    follow_move(place / "mlflow.db")
    return run_id


# A clock that is slow, and too simple to be wrong ------------------------------------------------

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
QUARTER = 900  # seconds; no zone in these tests changes its clocks within one


def is_working(local: datetime, hours: WorkingHours, off: set) -> bool:
    """Whether the clock on the wall of the desk shows working hours."""
    if local.date() in off:
        return False
    week = [getattr(hours.week, day) for day in DAYS]
    if not any(week):
        return True
    now, weekday = local.hour * 60 + local.minute, local.weekday()
    for day in (weekday, weekday - 1):
        for text in week[day]:
            begin, end = (
                int(hour) * 60 + int(minute)
                for hour, minute in (time.split(":") for time in text.split("-"))
            )
            overnight = end <= begin
            if day == weekday and begin <= now < (24 * 60 if overnight else end):
                return True
            if day != weekday and overnight and now < end:
                return True
    return False


def list_worked_seconds(hours: WorkingHours, first: int, last: int) -> np.ndarray:
    """Say of each second from one to another (since 1970, UTC) whether it is worked in."""
    info = ZoneInfo(hours.timezone or "UTC")
    off = {datetime.fromisoformat(day).date() for day in hours.closed}
    for each in hours.holidays:
        years = range(1970 + first // 31_556_952 - 1, 1970 + last // 31_556_952 + 2)
        off |= set(holidays.country_holidays(each.country, subdiv=each.region, years=years))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    worked = [
        is_working((epoch + timedelta(seconds=second)).astimezone(info), hours, off)
        for second in range(first, last, QUARTER)
    ]
    return np.repeat(np.array(worked), QUARTER)[: last - first]


@pytest.fixture
def worked_seconds() -> Callable[..., np.ndarray]:
    """Say of each second whether it is worked in: see :func:`list_worked_seconds`."""
    return list_worked_seconds
