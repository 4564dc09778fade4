"""How many labels change under business hours, and what do decisions under the wrong clock cost?

``python experiments/clocks/measure.py [folder of the real exports]``, from the repository root.
Each model is trained and decides under one clock; both are judged by the labels of the other, too.
"""

import sys
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir

from slarisk.command_line import register_schemas
from slarisk.decisions.effect import make_effect
from slarisk.decisions.timing import TimedCosts
from slarisk.evaluation.baselines import decide_baselines
from slarisk.model.bundle import ESCALATE
from slarisk.model.seen_tickets import as_scored
from slarisk.stats.bootstrap import paired_interval
from slarisk.tickets.contract import take_times
from slarisk.tickets.fields import list_segments
from slarisk.training.fit import fit_and_evaluate
from slarisk.training.prepare import prepare
from slarisk.typed_config import type_config

ROOT = Path(__file__).resolve().parents[2]
CLOCKS = ["always", "business_hours"]
DATA = {
    "sample": [],
    "kaggle": ["data.path={}/customer_support_tickets.csv"],
    # its own label says nothing of hours: here it is the targets of sla=standard that decide
    "servicenow": [
        "data.path={}/incident_event_log.zip",
        *("data.label.kind=target", "data.label.column=null", "data.label.known_at=null"),
    ],
}


def train(name, clock, folder):
    """Train under a clock; return the config, what was prepared, and the result."""
    overrides = [each.format(folder) for each in DATA[name]]
    config = type_config(
        compose("train", [f"data={name}", f"clock={clock}", "model=gbm", *overrides])
    )
    prepared = prepare(config)
    return config, prepared, fit_and_evaluate(config, prepared)


def index(tickets):
    """Labelled tickets by id."""
    return tickets.frame.set_index("ticket_id", verify_integrity=True)


def lose(right, wrong):
    """Losses on the test tickets under the right clock: of its own model, and of the wrong one's.

    Also of the rules fitted under either; by name, arrays of dollars on the tickets that both know.
    """
    config, prepared, _ = right
    held_out, tickets = prepared.held_out, prepared.tickets
    known = set(wrong[1].tickets.frame["ticket_id"])
    places = np.array([i for i in held_out.test if tickets.frame["ticket_id"].iloc[i] in known])
    test = tickets.frame.iloc[places].reset_index(drop=True)
    costs, breach = tickets.costs.take(places), test["breach"].to_numpy(dtype=bool)
    effect = make_effect(config.cost)
    timed = TimedCosts(costs, take_times(test), effect)
    losses = {}
    for words, (own, its, trained) in {"right": right, "wrong": wrong}.items():
        decided = trained.bundle.decide(as_scored(test, own.data))
        escalate = decided[ESCALATE].to_numpy(dtype=bool)
        losses[f"model, {words} clock"] = timed.losses(breach, np.where(escalate, 0.0, np.inf))
        rows = its.held_out.train
        training = its.tickets.frame.iloc[rows].reset_index(drop=True)
        rules = decide_baselines(
            *(training, test, its.tickets.costs.take(rows), costs), list_segments(own.data), effect
        )
        losses[f"learnt timer, {words} clock"] = timed.losses(breach, rules.ages["timer"])
        losses[f"by priority, {words} clock"] = timed.losses(breach, rules.ages["priority"])
    return losses


def main(folder="data"):
    """Print both tables."""
    register_schemas()
    folder, lines = Path(folder).resolve(), []
    print("| data | tickets | breached 24/7 | in business hours | labels that change |")
    print("|---|---:|---:|---:|---:|")
    with initialize_config_dir(str(ROOT / "conf"), job_name="clocks"):
        for name in DATA:
            if name != "sample" and not list(folder.glob(DATA[name][0].rsplit("/", 1)[1])):
                continue
            always, business = (train(name, clock, folder) for clock in CLOCKS)
            labels = [index(each[1].tickets)["breach"] for each in (always, business)]
            both = labels[0].index.intersection(labels[1].index)
            changed = labels[0][both] != labels[1][both]
            rates = [f"{each[both].mean():.1%}" for each in labels]
            print(
                f"| {name} | {len(both):,} | {rates[0]} | {rates[1]} | "
                f"{changed.sum():,}, {changed.mean():.1%} |",
                flush=True,
            )
            for words, right, wrong in (
                ("business hours", business, always),
                ("24/7", always, business),
            ):
                losses = lose(right, wrong)
                n = len(next(iter(losses.values())))
                for rule in ("model", "learnt timer", "by priority"):
                    own, other = (losses[f"{rule}, {each} clock"] for each in ("right", "wrong"))
                    rng = np.random.default_rng(0)
                    low, high = paired_interval(other - own, 2000, 0.95, rng)
                    cells = [
                        1000 / n * each
                        for each in (own.sum(), other.sum(), other.sum() - own.sum(), low, high)
                    ]
                    lines.append(
                        f"| {name} | {words} | {rule} | ${cells[0]:,.0f} | ${cells[1]:,.0f} | "
                        f"${cells[2]:,.0f} [${cells[3]:,.0f} to ${cells[4]:,.0f}] |"
                    )
    print("\n| data | the desk's clock | decisions | made under it | made under the other | cost |")
    print("|---|---|---|---:|---:|---:|")
    print("\n".join(lines).replace("$-", "-$"))


if __name__ == "__main__":
    main(*sys.argv[1:])
