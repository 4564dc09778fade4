"""Add kinds of features by the recipe: each takes its class, and its key in the schema."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import slarisk
from slarisk import config
from slarisk.learning import features

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(slarisk.__file__).parent
CLASSES = '''
class Length(FeatureKind):
    """How many characters a field has."""

    key = "length"
    example = "Cannot log in"

    def names(self, entry):
        return [f"{entry}_length"]

    def make(self, tickets, entry):
        return {f"{entry}_length": get_text(tickets, entry).str.len().astype(float)}


class Initial(FeatureKind):
    """The first letter of a field."""

    key = "initial"
    holds = "categories"
    example = "Cannot log in"

    def names(self, entry):
        return [f"{entry}_initial"]

    def make(self, tickets, entry):
        return {f"{entry}_initial": get_text(tickets, entry).str[:1].fillna(UNKNOWN)}


'''
KEYS = "".join(
    f"    {key}: list[str] = field(default_factory=list)\n" for key in ("length", "initial")
)


def insert(file, text, before):
    whole = file.read_text()
    assert whole.count(before) == 1
    file.write_text(whole.replace(before, text + before))


@pytest.fixture
def run(tmp_path, write_tickets):
    """Runs a command with a package to which the two kinds were added."""
    copy = tmp_path / "src" / "slarisk"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    inside = [Path(module.__file__).relative_to(PACKAGE) for module in (features, config)]
    insert(copy / inside[0], CLASSES, before="# In the order of their columns.")
    insert(copy / inside[1], KEYS, before="    max_categories: Positive")
    write_tickets(tmp_path / "tickets.csv", tickets=300)
    environment = {key: value for key, value in os.environ.items() if "MLFLOW" not in key}

    def run_command(command, *overrides):
        ended = subprocess.run(
            [sys.executable, str(ROOT / f"{command}.py"), *overrides],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(copy.parent)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return run_command


@pytest.mark.commands
@pytest.mark.slow
def test_new_kinds_are_trained_packed_reloaded_and_scored(run, tmp_path):
    out = run(
        "train",
        *("data.path=tickets.csv", "data.truth=null", "evaluation.bootstrap_draws=50"),
        *("model=gbm", "model.n_estimators=20", "model.learning_rate=0.2"),
        "model.min_child_samples=10",
        *("features.calendar=[]", "features.categorical=[priority]"),
        *("features.length=[product]", "features.initial=[channel]"),
    )
    (run_id,) = re.findall(r"run (\w{32})", out)
    run("score", f"run_id={run_id}", "output=scores.csv")

    (bundle,) = tmp_path.glob("mlruns/**/bundle.json")
    manifest = json.loads(bundle.read_text())
    assert manifest["features"]["initial"] == ["channel"]
    assert {"priority", "product_length", "channel_initial"} < set(manifest["profile"])
    assert manifest["profile"]["channel_initial"]["categories"] == ["C", "E", "P"]
    (example,) = tmp_path.glob("mlruns/**/input_example.json")
    assert json.loads(example.read_text())["columns"].count("Ticket Channel") == 1
    scores = pd.read_csv(tmp_path / "scores.csv")
    by_channel = scores.groupby("Ticket Channel")["Pred_Breach_Prob"].mean()
    assert len(scores) == 300
    # of the channel the model sees the initial alone, and only e-mails breach
    assert by_channel["Email"] > 1.5 * by_channel[["Phone", "Chat"]].max()
