"""One pass over an export, for ``benchmarks/scoring.py``: slarisk's own, or a rival's.

``stream``: slarisk's.

``bare``: a pass of pyarrow that reads the columns the export needs and writes as many columns of
the same kinds, with numbers it did not compute: what reading and writing cost by themselves.

``straight``: what one would write in an afternoon: ``pandas.read_csv``, features,
``predict_proba``, ``to_csv``. It rejects nothing, recognises no ticket, and measures no drift.

``python benchmarks/scoring_pass.py stream|bare|straight tickets.csv out.csv [bundle]`` prints how
many seconds the pass took, after all that it needs was imported and the model loaded.
"""

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

COLUMNS = {
    "Ticket ID": "ticket_id",
    "Created At": "created_at",
    "Time to Resolution": "resolved_at",
    "Ticket Priority": "priority",
    "Ticket Channel": "channel",
    "Ticket Type": "ticket_type",
    "Product Purchased": "product",
    "Ticket Subject": "subject",
}
TARGETS = {"Critical": 4, "High": 8, "Normal": 24, "Medium": 24, "Low": 72}
COSTS = {"Critical": 500, "High": 200, "Normal": 50, "Medium": 50, "Low": 10}


def pass_bare(source: str, output: str) -> None:
    """Read and write, part by part, as pyarrow does it."""
    texts = dict.fromkeys(COLUMNS, pa.string())
    reader = csv.open_csv(
        source, convert_options=csv.ConvertOptions(include_columns=[*texts], column_types=texts)
    )
    numbers = np.random.default_rng(0).random(1 << 20)
    writer = None
    for batch in reader:
        text = [batch.column(name) for name in COLUMNS]
        floats = [pa.array(numbers[start : start + len(batch)]) for start in range(5)]
        flag = pa.array(numbers[: len(batch)] > 0.5)
        columns = [*text, text[3], text[4], *floats, flag, flag]
        table = pa.record_batch(columns, [f"column {place}" for place in range(len(columns))])
        writer = writer or csv.CSVWriter(output, table.schema)
        writer.write_batch(table)
    if writer is not None:
        writer.close()


def prepare_straight(source: str, output: str, bundle: str) -> Callable[[], object]:
    """Prepare to score with pandas and scikit-learn."""
    import pandas as pd

    from slarisk.learning.features import make_features
    from slarisk.model.bundle import load_bundle

    model = load_bundle(Path(bundle)).model

    def run() -> None:
        tickets = pd.read_csv(
            source, usecols=[*COLUMNS], parse_dates=["Created At", "Time to Resolution"]
        ).rename(columns=COLUMNS)
        risk = model.pipeline.predict_proba(make_features(tickets, model.features))[:, 1]
        hours = (tickets["resolved_at"] - tickets["created_at"]).dt.total_seconds() / 3600
        cost = tickets["priority"].map(COSTS)
        late = hours > tickets["priority"].map(TARGETS)
        left, escalated = risk * cost, 20 + 0.2 * risk * cost
        table = pd.DataFrame(
            {
                "Ticket ID": tickets["ticket_id"],
                "Ticket_Date": tickets["created_at"].dt.strftime("%Y-%m-%d"),
                "Ticket Priority": tickets["priority"],
                "Ticket Channel": tickets["channel"],
                "Ticket Type": tickets["ticket_type"],
                "Product Purchased": tickets["product"],
                "Resolution_Hours": hours,
                "Is_SLA_Breach": late,
                "Breach_Cost": cost.where(late, 0),
                "Pred_Breach_Prob": risk,
                "Risk_Bucket": np.select([risk <= 0.33, risk <= 0.66], ["Low", "Medium"], "High"),
                "Escalate": left > escalated,
                "Expected_Loss_If_Left": left,
                "Expected_Loss_If_Escalated": escalated,
                "Score_Origin": "new",
                "Model_Version": "1",
                "Scored_At": "now",
            }
        )
        table.to_csv(output, index=False)

    return run


def prepare_stream(source: str, output: str, folder: str) -> Callable[[], object]:
    """Prepare to score with slarisk's local engine."""
    from slarisk.model.bundle import load_bundle
    from slarisk.scoring.stream import score_stream
    from slarisk.scoring.task import Task

    bundle = load_bundle(Path(folder))
    wrong = Path(f"{output}.rejected.csv")
    decision = bundle.manifest.decision
    task = Task(bundle, decision, source, Path(output), wrong, "1", "now")
    return partial(score_stream, task)


def prepare_bare(source: str, output: str) -> Callable[[], object]:
    """Prepare to read and write, and no more."""
    return partial(pass_bare, source, output)


if __name__ == "__main__":
    kind, *arguments = sys.argv[1:]
    prepare = {"bare": prepare_bare, "straight": prepare_straight, "stream": prepare_stream}[kind]
    run = prepare(*arguments)
    started = time.perf_counter()
    run()
    print(time.perf_counter() - started)
