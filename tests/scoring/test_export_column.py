"""Add a column to the export by its recipe: one entry at the end of EXPORT_TABLE, in one file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from slarisk.model.bundle import save_bundle

ROOT = Path(__file__).resolve().parents[2]
LAST = '    Column("Escalate_At", pa.string(), _format_escalation_times, _STATE_FIELDS),\n'
# reads a field that neither the model nor another column reads
ENTRY = """    Column(
        "Purchase_Age_Days",
        _NUMBER,
        lambda d: (d.tickets["created_at"] - d.tickets["purchased_at"]).dt.days,
        ("purchased_at",),
    ),
"""
SCRIPT = """
import sys
from pathlib import Path
from slarisk.model.bundle import load_bundle
from slarisk.scoring.export import EXPORT_PLAIN
from slarisk.scoring.spark.decisions import _decide_batches
from slarisk.scoring.export_reader import list_needed_fields
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
import pandas as pd, pyarrow as pa, pyarrow.parquet

bundle = load_bundle(Path("bundle"))
columns = bundle.manifest.data.columns
for ending in ("csv", "parquet"):
    output, rejected = Path(f"risk.{ending}"), Path(f"{ending}.rejected.csv")
    task = Task(bundle, bundle.manifest.decision, sys.argv[1], output, rejected, "1", "now")
    score_stream(task)
raw = pd.read_csv(sys.argv[1], dtype="str")
raw = raw[[columns[field] for field in list_needed_fields(bundle.manifest)]]
raw.columns = list_needed_fields(bundle.manifest)
batches = _decide_batches(task, iter([pa.RecordBatch.from_pandas(raw)]))
table = pa.Table.from_batches(batches).select(EXPORT_PLAIN.names)
pa.parquet.write_table(table, "task.parquet")
"""


@pytest.mark.commands
@pytest.mark.slow
def test_an_export_column_takes_one_entry(tmp_path, trained, export_file, raw):
    """Both engines write it; Spark through the function that its tasks run."""
    shutil.copytree(ROOT / "src", tmp_path / "src")
    table = tmp_path / "src/slarisk/scoring/export.py"
    assert table.read_text().count(LAST) == 1
    table.write_text(table.read_text().replace(LAST, LAST + ENTRY))
    save_bundle(trained.bundle, tmp_path / "bundle")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(export_file)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

    dates = raw[["Created At", "Date of Purchase"]].apply(pd.to_datetime)
    expected = (dates["Created At"] - dates["Date of Purchase"]).dt.days
    assert expected.notna().any()
    for written in (
        pd.read_csv(tmp_path / "risk.csv", dtype={"Ticket ID": "str"}),
        pd.read_parquet(tmp_path / "risk.parquet"),
        pd.read_parquet(tmp_path / "task.parquet"),
    ):
        assert written.columns[-1] == "Purchase_Age_Days"
        assert written["Ticket ID"].tolist() == raw["Ticket ID"].tolist()
        days = written["Purchase_Age_Days"]
        pd.testing.assert_series_equal(days, expected, check_names=False, check_dtype=False)
