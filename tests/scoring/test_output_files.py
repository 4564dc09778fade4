import os
import stat

import numpy as np
import pandas as pd
import pytest

from slarisk.errors import InputError
from slarisk.exports.spreadsheets import neutralise
from slarisk.scoring import output_files
from slarisk.scoring.output_files import write_all

TABLE = pd.DataFrame({"a": [1]})


def left_behind(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_existing_output_is_replaced(tmp_path):
    (tmp_path / "risk.csv").write_text("old")
    write_all({tmp_path / "new" / "rejected.csv": TABLE, tmp_path / "risk.csv": TABLE})

    assert (tmp_path / "risk.csv").read_text() == "a\n1\n"
    assert left_behind(tmp_path) == ["rejected.csv", "risk.csv"]


def test_files_have_the_permissions_of_ordinary_ones(tmp_path):
    write_all({tmp_path / "risk.csv": TABLE})
    (tmp_path / "ordinary").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("risk.csv", "ordinary")]

    assert modes[0] == modes[1]


def test_a_failure_while_writing_leaves_all_as_it_was(tmp_path, monkeypatch):
    for name in ("rejected.csv", "risk.csv"):
        (tmp_path / name).write_text("old")
    written, write = [], output_files._write

    def fail_at_the_second(frame, path, ending):
        written.append(path)
        if len(written) == 2:
            path.write_text("half")
            raise OSError(28, "No space left on device")
        write(frame, path, ending)

    monkeypatch.setattr(output_files, "_write", fail_at_the_second)
    with pytest.raises(InputError, match=r"risk\.csv: .*No space left"):
        write_all({tmp_path / "rejected.csv": TABLE, tmp_path / "risk.csv": TABLE})

    assert len(written) == 2
    assert left_behind(tmp_path) == ["rejected.csv", "risk.csv"]
    assert (tmp_path / "rejected.csv").read_text() == "old"
    assert (tmp_path / "risk.csv").read_text() == "old"


@pytest.mark.parametrize("before", [["rejected.csv", "risk.csv"], ["risk.csv"], []])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_a_failure_between_the_names_leaves_all_as_it_was(tmp_path, monkeypatch, before, error):
    for name in before:
        (tmp_path / name).write_text("old")
    done, put = [], os.replace

    def fail_at_the_second(part, path):
        done.append(path)
        if len(done) == 2:
            raise error
        put(part, path)

    monkeypatch.setattr(os, "replace", fail_at_the_second)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else InputError
    with pytest.raises(expected):
        write_all({tmp_path / "rejected.csv": TABLE, tmp_path / "risk.csv": TABLE})

    assert len(done) == 2
    assert left_behind(tmp_path) == before
    assert all((tmp_path / name).read_text() == "old" for name in before)


def test_an_output_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "risk.csv").mkdir()
    with pytest.raises(InputError, match=r"risk\.csv: "):
        write_all({tmp_path / "rejected.csv": TABLE, tmp_path / "risk.csv": TABLE})

    assert left_behind(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match=r"risk\.csv: "):
        write_all({tmp_path / "a.csv": TABLE, tmp_path / "file" / "risk.csv": TABLE})

    assert left_behind(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match=r"risk\.csv: .*Permission denied"):
            write_all({tmp_path / "risk.csv": TABLE})
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "+1-5-0"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_formulas_are_neutralised_in_files(tmp_path, text, ending):
    path = tmp_path / f"risk.{ending}"
    write_all({path: pd.DataFrame({"Ticket ID": pd.Series([text, "A-7"], dtype="str")})})
    back = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, lineterminator="\n")

    assert back["Ticket ID"].tolist() == [f"'{text}", "A-7"]


def test_numbers_and_gaps_are_left_alone():
    frame = pd.DataFrame(
        {
            "text": pd.Series(["-5", "+3.5", "-1e-3", None], dtype="str"),
            "object": pd.Series(["-5", None, "=A", "a=b"], dtype=object),
            "number": [-5.0, np.nan, 1, 2],
            "flag": pd.array([True, None, False, True], dtype="boolean"),
        }
    )
    safe = neutralise(frame)

    assert safe["text"].tolist()[:3] == ["-5", "+3.5", "-1e-3"]
    assert safe["text"].isna().tolist() == [False, False, False, True]
    assert safe["object"].fillna("").tolist() == ["-5", "", "'=A", "a=b"]
    pd.testing.assert_frame_equal(safe[["number", "flag"]], frame[["number", "flag"]])
