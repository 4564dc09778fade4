import csv
import gzip
import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slarisk.errors import InputError
from slarisk.exports.read import count_groups, read_fields, read_parts
from slarisk.exports.rows import as_text
from slarisk.tickets.prepare import read_tickets

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
        return read_fields(make_policy(name, **settings), ["ticket_id", "created_at"]).frame

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


def test_a_folder_is_read_without_what_others_left_in_it(write, read, tmp_path):
    (tmp_path / "months").mkdir()
    write(ROWS, "months/part-0.csv")
    for clutter in (".DS_Store", "_SUCCESS"):
        (tmp_path / "months" / clutter).write_text("x")
    (tmp_path / "months" / "older").mkdir()
    assert ids(read("months")) == ["1", "2"]


def test_blank_lines_are_no_rows(write, read):
    write(["", ROWS[0], "", "   ", ROWS[1], ""])
    assert read()["source_row"].tolist() == [1, 2]


def test_a_very_long_value_is_read(write, read):
    write([ROWS[0] + "w" * 200_000])
    assert len(read()["priority"].iloc[0]) == 200_003


def test_names_in_the_header_are_trimmed_and_unread_ones_may_repeat(write, read):
    write(["1,a,2024-01-01,b,Low"], header=" Id ,Note, Opened,Note,Prio")
    assert read()["created_at"].tolist() == ["2024-01-01"]


def test_what_macos_puts_into_a_zip_is_not_read(tmp_path, read):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("export")
        archive.writestr("export/a.csv", TEXT)
        archive.writestr("__MACOSX/export/._a.csv", b"\0\5\26\7")
        archive.writestr("export/.DS_Store", "x")
    assert ids(read("a.zip")) == ["1", "2"]


def test_a_long_id_with_gaps_beside_it_keeps_its_digits(tmp_path, read):
    numbers = pa.array([2**60 + 1, 2**60 + 2, None], pa.int64())
    table = pa.table({"Id": numbers, "Opened": ["2024-01-01"] * 3})
    pq.write_table(table, tmp_path / "a.parquet")
    table = read("a.parquet")
    assert ids(table)[:2] == ["1152921504606846977", "1152921504606846978"]
    assert table["ticket_id"].isna().tolist() == [False, False, True]


def test_spoilt_metadata_of_pandas_are_not_looked_at(tmp_path, read):
    table = pa.table({"Id": ["1"], "Opened": ["2024-01-01"]})
    spoilt = table.replace_schema_metadata({"pandas": '{"columns": '})
    pq.write_table(spoilt, tmp_path / "a.parquet")
    assert ids(read("a.parquet")) == ["1"]


def test_quoted_newlines_and_another_delimiter(tmp_path, read):
    (tmp_path / "tickets.csv").write_text('Id;Opened;Prio\n"1\nb";2024-01-01;"a;b"\n')
    table = read(delimiter=";")
    assert ids(table) == ["1\nb"]
    assert table["priority"].tolist() == ["a;b"]


def test_columns_that_the_policy_does_not_name_never_come_in(write, make_policy):
    write(["1,2024-01-01,someone@example.com"], header="Id,Opened,Email")
    table = read_fields(make_policy(), ["ticket_id"]).frame
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


def nothing_in_a_zip(path):
    zipfile.ZipFile(path, "w").close()


def encrypted_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", TEXT)
    data = bytearray(path.read_bytes())
    for record, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(record) + flags] |= 1
    path.write_bytes(bytes(data))


def wrong_in_a_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", TEXT)
    path.write_bytes(path.read_bytes().replace(b"Low", b"Hig"))


def cut_gzip(path):
    path.write_bytes(gzip.compress(os.urandom(3000))[:-500])


def wrong_gzip(path):
    path.write_bytes(gzip.compress(TEXT.encode())[:-8] + bytes(8))


def parquet(path):
    pd.DataFrame({"Id": ["1"]}).to_parquet(path)


def cut_parquet(path):
    parquet(path)
    path.write_bytes(path.read_bytes()[:-30])


def wrong_parquet(path):
    table = pa.table({"Id": ["ticket"], "Opened": ["2024-01-01"]})
    pq.write_table(table, path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"ticket", b"tick\xfft"))


def folder_of_folders(path):
    (path / "inner.csv").mkdir(parents=True)


def holding(content):
    def make(path):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.csv", lambda path: None, "no such file"),
        ("a.csv", lambda path: path.mkdir(), "no file in the folder"),
        ("a.csv", folder_of_folders, "no file in the folder"),
        (f"{'a' * 300}.csv", lambda path: None, "File name too long"),
        ("a.csv", holding(""), "the file is empty"),
        ("a.csv", holding("\n \n"), "the file is empty"),
        ("a.csv", holding(b"\xef\xbb\xbf"), "the file is empty"),
        ("a.csv", holding(HEADER + "\n"), "only a header"),
        ("a.csv", holding(HEADER), "only a header"),
        ("a.csv", holding("Id,Start\n1,2024-01-01\n"), r"no column 'Opened' \(field created_at\)"),
        ("a.csv", holding(TEXT.replace(",", ";")), r"delimiter ';'\? Name it: data\.delimiter"),
        ("a.csv", holding(TEXT.replace(",", "\t")), r"delimiter '\\t'\? Name it: data"),
        ("a.csv", holding("Id;Opened\n1;a, b\n"), r"delimiter ';'\? Name it: data\.delimiter"),
        ("a.csv", holding(TEXT.replace("Done", "Id")), "column Id stands there more than once"),
        (
            "a.csv",
            holding(TEXT.replace("High", "Müller").encode("latin-1")),
            r"byte 0xfc in line 3 is not utf-8.*data\.encoding",
        ),
        ("a.csv", holding(TEXT.encode("utf-16")), r"is not utf-8.*data\.encoding"),
        ("a.csv", holding(b"\x89PNG\r\n\0\0" + bytes(range(256))), "binary file"),
        ("a.csv", holding(gzip.compress(TEXT.encode())), "binary file.*must end in .zip or .gz"),
        ("a.csv", parquet, "this is a Parquet file"),
        ("a.csv", holding(HEADER + "\n1,a,b,c,d,e\n1,a,b,c,d,e\n"), "row 1: has 6 fields"),
        ("a.csv", holding(HEADER + "\n1,a\n2,b\n"), "row 1: has 2 fields"),
        ("a.zip", holding("no zip"), "damaged or cut short"),
        ("a.zip", cut_zip, "damaged or cut short"),
        ("a.zip", corrupt_zip, "damaged or cut short"),
        ("a.zip", two_in_a_zip, r"holds 2 files .*data\.member"),
        ("a.zip", nothing_in_a_zip, "no file in the archive"),
        ("a.zip", encrypted_zip, "encrypted"),
        ("a.zip", wrong_in_a_zip, "damaged or cut short"),
        ("a.csv.gz", cut_gzip, "damaged or cut short"),
        ("a.csv.gz", wrong_gzip, "damaged or cut short"),
        ("a.csv.gz", holding("no gzip"), "damaged or cut short"),
        ("a.parquet", cut_parquet, "not a readable Parquet file"),
        ("a.parquet", holding(TEXT), "not a readable Parquet file"),
        ("a.parquet", holding(""), "not a readable Parquet file"),
        ("a.parquet", wrong_parquet, "not a readable Parquet file"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path, read, name, make, message):
    make(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read(name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "row", "detail"),
    [
        (TEXT + "3,2024-01-01,,,Low,too,much\n", 3, "has 7 fields, the header has 5. Quote"),
        (TEXT.replace("Low\n", "Low,\n"), 1, "has 6 fields"),
        (TEXT + "3,2024-01-01\n", 3, "has 2 fields"),
        (TEXT + '"3,2024-01-01,,,Low\n', 3, "a quote in it is never closed"),
        (TEXT + '3,2024-01-01,,,"Low\n\n', 3, "a quote in it is never"),
        (TEXT + '3,2024-01-01,,,"5" tube"\n', 3, "not doubled"),
    ],
)
def test_a_broken_row_costs_only_itself(tmp_path, make_policy, text, row, detail):
    (tmp_path / "tickets.csv").write_text(text)
    read = read_fields(make_policy(), ["ticket_id", "created_at"])
    (broken,) = read.broken
    assert (broken.row, broken.file) == (row, str(tmp_path / "tickets.csv"))
    assert detail in broken.detail
    assert len(read.frame) == text.count("\n2") + text.count("\n1") - (row == 1)


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(("name", "method"), [("months", "iterdir"), ("a.csv", "open")])
def test_what_may_not_be_read_is_told(write, read, tmp_path, monkeypatch, name, method):
    (tmp_path / "months").mkdir()
    write(ROWS, "a.csv")
    monkeypatch.setattr(Path, method, refuse)
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(Permission denied\)"):
        read(name)


def test_an_encoding_is_named_or_refused(tmp_path, read):
    (tmp_path / "tickets.csv").write_bytes(TEXT.replace("Low", "Müller").encode("latin-1"))
    assert read(encoding="latin-1")["priority"].tolist() == ["Müller", "High"]
    with pytest.raises(InputError, match=r"data\.encoding=klingon: no such encoding"):
        read(encoding="klingon")
    (tmp_path / "wide.csv").write_bytes(TEXT.encode("utf-16-le"))
    assert ids(read("wide.csv", encoding="utf-16-le")) == ["1", "2"]
    (tmp_path / "marked.csv").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert ids(read("marked.csv", encoding="UTF_8")) == ["1", "2"]
    two_in_a_zip(tmp_path / "two.zip")
    assert ids(read("two.zip", member="b.csv")) == ["1", "2"]
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


PROPERTY = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# a carriage return in a value comes back as a newline
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=8)


@PROPERTY
@given(rows=st.lists(st.tuples(*[VALUES] * 5), min_size=1, max_size=8))
def test_what_a_csv_writer_wrote_is_read_back(tmp_path, make_policy, rows):
    with (tmp_path / "tickets.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER.split(","), *rows])
    table = read_fields(make_policy(missing=[]), ["ticket_id"]).frame
    fields = ["ticket_id", "created_at", "first_response_at", "resolved_at", "priority"]
    assert table[fields].to_numpy().tolist() == [list(row) for row in rows]


@pytest.mark.slow
@PROPERTY
@given(data=st.data())
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.zip", "a.parquet"])
def test_mangled_bytes_are_read_or_refused(tmp_path, make_policy, name, data):
    path = tmp_path / name
    if name == "a.parquet":
        columns = {column: [column] * 3 for column in HEADER.split(",")}
        pq.write_table(pa.table(columns), path)
    elif name == "a.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", TEXT * 3)
    else:
        text = (TEXT * 3).encode()
        path.write_bytes(gzip.compress(text) if name == "a.csv.gz" else text)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 20))
        content[place : place + cut] = data.draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b'"', b",", b"\n", b"\r", b"\0"]))
        )
    path.write_bytes(bytes(content))
    with suppress(InputError):  # and nothing else may be raised
        assert len(read_tickets(make_policy(name)).frame) > 0


def test_only_the_named_row_groups_are_read(make_policy, tmp_path):
    policy = make_policy("tickets.parquet")
    table = pd.DataFrame([row.split(",") for row in ROWS * 5], columns=HEADER.split(","))
    table["Id"] = [str(n) for n in range(10)]
    table.to_parquet(tmp_path / "tickets.parquet", row_group_size=3)

    parts = list(read_parts(policy, ["ticket_id"], ["ticket_id"], groups=[1, 3]))
    assert count_groups(policy, policy.path) == [3, 3, 3, 1]
    assert [each for part in parts for each in ids(part.parse().frame)] == ["3", "4", "5", "9"]


def test_a_csv_has_no_row_groups(write, make_policy):
    path = write(ROWS)
    assert count_groups(make_policy("tickets.csv"), str(path)) == []


def test_a_spoilt_parquet_file_has_no_row_groups_to_count(make_policy, tmp_path):
    (tmp_path / "tickets.parquet").write_bytes(b"PAR1 and no more")
    policy = make_policy("tickets.parquet")
    with pytest.raises(InputError, match=r"tickets.parquet: not a readable Parquet file"):
        count_groups(policy, policy.path)
