"""How often does SR023 see an outage of labels where there is none, and does it see one?

``python experiments/checks-honesty/labels.py [samples]``, from the repository root: about four
minutes. README.md has the result.
"""

import sys
import tempfile
from pathlib import Path

from hydra import compose, initialize_config_dir

from slarisk.checks.check import Verdict
from slarisk.checks.context import CheckContext
from slarisk.checks.label_health import check_label_health
from slarisk.command_line import register_schemas
from slarisk.datasets.sample import TICKETS_FILE, Desk, write_sample
from slarisk.training.prepare import prepare
from slarisk.typed_config import type_config

CONF = Path(__file__).resolve().parents[2] / "conf"
DESKS = {
    "as bundled": Desk(),
    "all times five times as long, one ticket in twenty slow": Desk(stretch=5, slow_share=0.05),
    "the pace of each type wanders": Desk(swing=0.5),
    "nothing written down from 9 to 22 September": Desk(outage=("2024-09-09", "2024-09-23")),
}


def main(samples="100"):
    """Print a row for each desk."""
    register_schemas()
    print("| desk | samples of 12,000 and 3,000 tickets | SR023 warns |\n|---|---:|---:|")
    for words, desk in DESKS.items():
        warned = [0, 0]
        for place, tickets in enumerate((12_000, 3_000)):
            for seed in range(1, int(samples) + 1):
                warned[place] += judge(desk, tickets, seed) is not Verdict.ok
        print(f"| {words} | {samples}, {samples} | {warned[0]}, {warned[1]} |", flush=True)


def judge(desk, tickets, seed):
    """Give the verdict on a sample."""
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), tickets, seed, desk)
        with initialize_config_dir(str(CONF), job_name="labels"):
            overrides = ["data.truth=null", f"data.path={Path(folder) / TICKETS_FILE}"]
            config = type_config(compose("train", overrides))
        prepared = prepare(config)
    frame, held_out = prepared.tickets.frame, prepared.held_out
    parts = (frame.iloc[rows].reset_index(drop=True) for rows in (held_out.train, held_out.test))
    context = CheckContext(config, prepared.tickets, *parts, [], None, 0.0, {})
    return check_label_health(context).verdict


if __name__ == "__main__":
    main(*sys.argv[1:])
