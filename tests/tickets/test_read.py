import gzip
import os
import zipfile
from contextlib import suppress

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slarisk.errors import InputError
from slarisk.tickets.contract import read_tickets
from slarisk.tickets.read import as_text, read_fields

HEADER = "Id,Opened,Replied,Done,Prio"
ROWS = [
    "1,2024-01-01 08:00,,2024-01-01 12:00,Low",
    "2,2024-01-02 08:00,2024-01-02 09:00,2024-01-02 12:00,High",
]
TEXT = "\n".join([HEADER, *ROWS]) + "\n"


def ids(table):
    return table["ticket_id"].tolist()


@pytest.fixture
def read(make_policy, tmp_path):
    def run(name="tickets.csv", **settings):
        return read_fields(make_policy(name, **settings), ["ticket_id", "created_at"])

    return run


def test_rows_carry_their_place(write, read):
    path = write(ROWS)
    table = read()
    assert table["source_row"].tolist() == [1, 2]
    assert set(table["source_file"]) == {str(path)}
    assert table["first_response_at"].isna().tolist() == [True, False]


def test_every_packaging_reads_alike(tmp_path, read):
    (tmp_path / "plain.csv").write_text(TEXT)
    (tmp_path / "crlf.csv").write_bytes(TEXT.replace("\n", "\r\n").encode())
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
        archive.writestr("inside.csv", TEXT)
    frame = pd.read_csv(tmp_path / "plain.csv")
    frame.to_parquet(tmp_path / "typed.parquet")
    frame.astype({"Id": float}).to_parquet(tmp_path / "floats.parquet")
    for column in ("Opened", "Replied", "Done"):
        frame[column] = pd.to_datetime(frame[column])
    frame.to_parquet(tmp_path / "dated.parquet")
    plain = read("plain.csv").drop(columns="source_file")
    for name in ("crlf.csv", "bom.csv", "packed.csv.gz", "packed.zip"):
        pd.testing.assert_frame_equal(read(name).drop(columns="source_file"), plain)
    for name in ("typed.parquet", "floats.parquet", "dated.parquet"):
        assert ids(read(name)) == ["1", "2"]
        assert read(name)["resolved_at"].notna().all()


def test_a_glob_and_a_folder_are_read_in_order(write, read, tmp_path):
    (tmp_path / "months").mkdir()
    write(ROWS[:1], "months/2024-01.csv")
    write(ROWS[1:], "months/2024-02.csv")
    for name in ("months/*.csv", "months"):
        table = read(name)
        assert ids(table) == ["1", "2"]
        assert table["source_row"].tolist() == [1, 1]


def test_quoted_newlines_and_another_delimiter(tmp_path, read):
    (tmp_path / "tickets.csv").write_text('Id;Opened;Prio\n"1\nb";2024-01-01;"a;b"\n')
    table = read(delimiter=";")
    assert ids(table) == ["1\nb"]
    assert table["priority"].tolist() == ["a;b"]


def test_columns_that_the_policy_does_not_name_never_come_in(write, make_policy):
    write(["1,2024-01-01,someone@example.com"], header="Id,Opened,Email")
    table = read_fields(make_policy(), ["ticket_id"])
    assert not table.isin(["someone@example.com"]).any(axis=None)


def corrupt_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", TEXT * 500)
    data = bytearray(path.read_bytes())
    data[60:90] = bytes(30)
    path.write_bytes(bytes(data))


def cut_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", TEXT * 500)
    path.write_bytes(path.read_bytes()[:-40])


def two_in_a_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)


def cut_gzip(path):
    path.write_bytes(gzip.compress(os.urandom(3000))[:-500])


def parquet(path):
    pd.DataFrame({"Id": ["1"]}).to_parquet(path)


def cut_parquet(path):
    parquet(path)
    path.write_bytes(path.read_bytes()[:-30])


def holding(content):
    def make(path):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.csv", lambda path: None, "no such file"),
        ("a.csv", lambda path: path.mkdir(), "the folder is empty"),
        ("a.csv", holding(""), "the file is empty"),
        ("a.csv", holding(HEADER + "\n"), "only a header"),
        ("a.csv", holding("Id,Start\n1,2024-01-01\n"), r"no column 'Opened' \(field created_at\)"),
        ("a.csv", holding(TEXT.replace(",", ";")), r"one column.*data\.delimiter"),
        ("a.csv", holding(TEXT.replace("Done", "Id")), "column Id stands there more than once"),
        ("a.csv", holding(TEXT.replace("Low", "Müller").encode("latin-1")), "is not utf-8"),
        ("a.csv", holding(b"\x89PNG\r\n\0\0" + bytes(range(256))), "binary file"),
        ("a.csv", parquet, "this is a Parquet file"),
        ("a.csv", holding(TEXT + "3,2024-01-01,,,Low,too,much\n"), "Expected 5 fields in line 4"),
        ("a.csv", holding(HEADER + "\n1,a,b,c,d,e\n"), "more fields than its header"),
        ("a.csv", holding(TEXT + '"3,2024-01-01,,,Low\n'), "EOF inside string"),
        ("a.zip", holding("no zip"), "damaged or cut short"),
        ("a.zip", cut_zip, "damaged or cut short"),
        ("a.zip", corrupt_zip, "damaged or cut short"),
        ("a.zip", two_in_a_zip, r"holds 2 files .*data\.member"),
        ("a.csv.gz", cut_gzip, "damaged or cut short"),
        ("a.csv.gz", holding("no gzip"), "cannot be read|damaged"),
        ("a.parquet", cut_parquet, "not a readable Parquet file"),
        ("a.parquet", holding(TEXT), "not a readable Parquet file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, read, name, make, message):
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read(name)
    assert name.removesuffix(".gz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_encoding_is_named_or_refused(tmp_path, read):
    (tmp_path / "tickets.csv").write_bytes(TEXT.replace("Low", "Müller").encode("latin-1"))
    assert read(encoding="latin-1")["priority"].tolist() == ["Müller", "High"]
    with pytest.raises(InputError, match=r"data\.encoding=klingon: no such encoding"):
        read(encoding="klingon")
    two_in_a_zip(tmp_path / "two.zip")
    with pytest.raises(InputError, match=r"holds no file 'c\.csv'"):
        read("two.zip", member="c.csv")


def test_typed_columns_become_the_text_a_csv_would_hold():
    frame = pd.DataFrame(
        {
            "whole": [1.0, None],
            "part": [0.5, 2.0],
            "flag": [True, False],
            "time": pd.to_datetime(["2024-01-01 08:00", None]),
            "name": ["a", None],
            "count": [3, 4],
        }
    )
    text = as_text(frame)
    assert all(isinstance(dtype, pd.StringDtype) for dtype in text.dtypes)
    assert text.iloc[0].tolist() == ["1", "0.5", "True", "2024-01-01T08:00:00", "a", "3"]
    assert text.isna().sum().to_dict() == {
        "whole": 1,
        "part": 0,
        "flag": 0,
        "time": 1,
        "name": 1,
        "count": 0,
    }


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mangled_bytes_are_read_or_refused(tmp_path, make_policy, data):
    content = bytearray((TEXT * 3).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 20))
        content[place : place + cut] = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b",", b"\n", b"\r", b"\0"]))
        )
    (tmp_path / "tickets.csv").write_bytes(bytes(content))
    with suppress(InputError):  # and nothing else may be raised
        assert len(read_tickets(make_policy())) > 0
