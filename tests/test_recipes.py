"""CONTRIBUTING says how little it takes to add things: here each is added as it says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[1]

POLICY = '''
@dataclass(frozen=True)
class Weekdays(DecisionPolicy):
    """Escalate on working days what the per-ticket rule would, if the breach is dear enough."""

    at_least: float

    kind: ClassVar = DecisionKind.weekdays
    label: ClassVar = "weekdays"

    def decide(self, probability: Floats, costs: CostMatrix, tickets: TicketFacts) -> Bools:
        """Say which tickets to escalate."""
        working = (tickets.day + 3) % 7 < 5  # day 0 was a Thursday
        return PerTicket().decide(probability, costs) & working & (costs.fn >= self.at_least)

    def describe(self) -> str:
        """Say in a phrase how it decides."""
        return f"on working days, from ${self.at_least:g}"

'''


def insert(path, before, text):
    content = path.read_text()
    assert content.count(before) == 1
    path.write_text(content.replace(before, text + before))


@pytest.mark.commands
@pytest.mark.slow
def test_a_decision_policy_takes_three_files(tmp_path, write_tickets, migrated_store):
    shutil.copytree(ROOT / "src", tmp_path / "src")
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    for command in ("train", "score"):
        shutil.copy(ROOT / f"{command}.py", tmp_path)
    package = tmp_path / "src" / "slarisk"
    # 1: the class, and its place in the list
    insert(package / "decisions/policies.py", "\nPOLICIES: dict", POLICY)
    policies = package / "decisions/policies.py"
    policies.write_text(
        policies.read_text().replace(
            "NowOrLater, GridThreshold)", "NowOrLater, GridThreshold, Weekdays)"
        )
    )
    # 2: its name and its key
    insert(package / "config.py", '    grid = "grid"\n', '    weekdays = "weekdays"\n')
    insert(
        package / "config.py",
        "    break_even_factor: Annotated",
        "    at_least: Annotated[float | None, Bounds(at_least=0)] = None\n",
    )
    # 3: its YAML
    (tmp_path / "conf/decision/weekdays.yaml").write_text("name: weekdays\nat_least: 100\n")

    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    write_tickets(tmp_path / "tickets.csv")

    def run(command, *overrides):
        return subprocess.run(
            [sys.executable, f"{command}.py", *overrides],
            cwd=tmp_path,
            env=os.environ
            | {"PYTHONPATH": str(tmp_path / "src"), "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
            capture_output=True,
            text=True,
        )

    small = ["data.path=tickets.csv", "data.truth=null", "evaluation.bootstrap_draws=50"]
    small += ["evaluation.importance_repeats=0", "model=lr", "decision=weekdays"]
    wrong = run("train", *small, "decision.at_least=-1")
    assert (wrong.returncode, "decision.at_least=-1" in wrong.stderr) == (2, True)
    made = run("train", *small)
    assert made.returncode == 0, made.stderr
    run_id = made.stdout.split()[-1]
    scored = run("score", f"run_id={run_id}", "input=tickets.csv", "output=risk.csv")
    assert scored.returncode == 0, scored.stderr

    export = pd.read_csv(tmp_path / "risk.csv", parse_dates=["Ticket_Date"])
    saving = export["Expected_Loss_If_Left"] - export["Expected_Loss_If_Escalated"]
    dear = export["Ticket Priority"].isin(["Critical", "High"])
    expected = (saving > 0) & dear & (export["Ticket_Date"].dt.day_of_week < 5)
    assert export["Escalate"].equals(expected)
    assert 0 < expected.sum() < (saving > 0).sum()
