"""The two rivals of ``benchmarks/scoring.py``, each a process of its own.

``bare``: a pass of pyarrow that reads the columns the export needs and writes as many columns of
the same kinds, with numbers it did not compute: what reading and writing cost by themselves.

``straight``: what one would write in an afternoon: ``pandas.read_csv``, features,
``predict_proba``, ``to_csv``. It rejects nothing, recognises no ticket, and measures no drift.

``python benchmarks/plain_scoring.py bare|straight tickets.csv out.csv [bundle folder]``
"""

import sys
from pathlib import Path

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
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

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


def pass_straight(source: str, output: str, bundle: str) -> None:
    """Score with pandas and scikit-learn."""
    import numpy as np
    import pandas as pd

    from slarisk.learning.features import make_features
    from slarisk.scoring.bundle import load_bundle

    model = load_bundle(Path(bundle)).model
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


if __name__ == "__main__":
    if sys.argv[1] == "bare":
        pass_bare(*sys.argv[2:4])
    else:
        pass_straight(*sys.argv[2:5])
