"""How often do the checks raise a false alarm, and how often do they catch a leak?

``python experiments/checks-honesty/simulate.py [clean runs] [runs of each leak]``, from the
repository root. README.md has the result.
"""

import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from leaks import LEAKS, VARIANTS, Setup
from omegaconf import OmegaConf

from slarisk.checks.check import Verdict
from slarisk.checks.run import RULES
from slarisk.command_line import register_schemas
from slarisk.datasets.sample import generate_tickets
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.prepare import prepare

CONF = Path(__file__).resolve().parents[2] / "conf"
MODELS, FEATURES = ["rf", "lr", "gbm"], ["notebook", "customer"]
CLEAN_TICKETS, LEAK_TICKETS = 12_000, 3_000


def configure(*overrides):
    """Compose a training config, as a command line would."""
    with initialize_config_dir(str(CONF), job_name="simulate"):
        return OmegaConf.to_object(compose("train", ["data.truth=null", *overrides]))


def draw_tickets(tickets, seed):
    table = generate_tickets(tickets, seed).tickets
    return table.astype({"Ticket ID": "str"})


def run(config, estimator=None):
    """Train, and give the verdicts by code."""
    prepared = prepare(config)
    if estimator is not None:
        prepared = replace(prepared, estimator=estimator)
    return {check.code: check.verdict for check in fit_and_evaluate(config, prepared).checks}


def count_false_alarms(runs, path):
    """Count the verdicts of clean runs: another desk each time, models and features in turn."""
    found = Counter()
    for seed in range(runs):
        draw_tickets(CLEAN_TICKETS, seed).to_csv(path, index=False)
        model, features = MODELS[seed % 3], FEATURES[seed // 3 % 2]
        verdicts = run(configure(f"data.path={path}", f"model={model}", f"features={features}"))
        found.update((code, verdict.value) for code, verdict in verdicts.items())
        objections = [
            f"{code} {each.value}" for code, each in verdicts.items() if each is not Verdict.ok
        ]
        print(f"seed {seed}, {model}, {features}: {', '.join(objections) or 'ok'}", flush=True)
    rows = [
        (code, rule.title, found[code, "failed"], found[code, "warning"])
        for code, rule in RULES.items()
    ]
    return pd.DataFrame(rows, columns=["code", "check", "failed", "warning"])


def count_caught(leak, runs, path):
    """Count the runs in which the check that has to name a leak does."""
    caught = 0
    for seed in range(runs):
        config = configure(f"data.path={path}", "model=lr", *leak.overrides)
        setup = Setup(draw_tickets(LEAK_TICKETS, seed), config, np.random.default_rng(seed))
        leak.plant(setup)
        setup.table.to_csv(path, index=False)
        caught += run(config, setup.estimator)[leak.code] is not Verdict.ok
    return caught


def main(clean="100", planted="10"):
    """Print both tables."""
    register_schemas()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tickets.csv"
        table = count_false_alarms(int(clean), path)
        print(table.to_string(index=False))
        print(f"{int(table['failed'].sum())} failed checks in {clean} clean runs")
        for leak in [*LEAKS, *VARIANTS]:
            caught = count_caught(leak, int(planted), path)
            print(f"{leak.kind} {leak.words}: {leak.code} in {caught} of {planted}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
