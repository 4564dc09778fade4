from types import SimpleNamespace

import pyarrow as pa
import pytest

from slarisk.errors import InputError
from slarisk.scoring.spark.parts import replace_folder, restore_folder, write_part


@pytest.fixture
def output(tmp_path):
    """An older result."""
    (tmp_path / "risk.csv").mkdir()
    (tmp_path / "risk.csv" / "part-00000.csv").write_text("old")
    return tmp_path / "risk.csv"


def test_a_new_folder_replaces_the_old_one_whole(output, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "part-00001.csv").write_text("new")
    replace_folder(tmp_path / "new", output, tmp_path / "old")
    assert [path.name for path in output.iterdir()] == ["part-00001.csv"]


def test_the_old_one_stays_if_the_new_one_cannot_be_moved(output, tmp_path):
    with pytest.raises(FileNotFoundError):
        replace_folder(tmp_path / "nowhere", output, tmp_path / "old")
    assert (output / "part-00000.csv").read_text() == "old"


def test_what_a_dead_machine_had_moved_aside_is_restore_folder(output, tmp_path):
    (tmp_path / ".risk.csv.spool-x").mkdir()
    output.rename(tmp_path / ".risk.csv.spool-x" / "old")
    restore_folder(output)
    assert (output / "part-00000.csv").read_text() == "old"


def test_a_result_that_is_there_is_not_replaced_by_an_older_one(output, tmp_path):
    (tmp_path / ".risk.csv.spool-x" / "old").mkdir(parents=True)
    restore_folder(output)
    assert (output / "part-00000.csv").read_text() == "old"


def test_a_machine_that_does_not_see_the_output_says_so(tmp_path, monkeypatch):
    pyspark = pytest.importorskip("pyspark")
    task = SimpleNamespace(partitionId=lambda: 0, taskAttemptId=lambda: 0)
    monkeypatch.setattr(pyspark.TaskContext, "get", lambda: task)
    batches = iter([pa.RecordBatch.from_pylist([{"Ticket ID": "1"}])])
    with pytest.raises(InputError, match=r"risk\.csv: "):
        list(write_part(tmp_path / "nowhere", tmp_path / "risk.csv", False, batches))
