"""Exports whose files are odd: where the header is, how numbers are written, what is no ticket."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from slarisk.config import Label, LabelKind
from slarisk.errors import InputError
from slarisk.learning.features import make_features
from slarisk.tickets.prepare import prepare_tickets

HERE = Path(__file__).resolve().parent
GERMAN = ("data.decimal=','", "data.thousands=.")


@pytest.fixture
def case(composed, monkeypatch):
    """Compose the policy of a case."""
    monkeypatch.chdir(HERE.parent.parent)

    def make(name, *overrides, root="train"):
        return composed(f"data={name}", *overrides, search=HERE, root=root)

    return make


def label(config, **changes):
    data = replace(config.data, **changes)
    labelled = prepare_tickets(data, config.sla, config.cost, config.max_rejected)
    assert labelled.rows_in == len(labelled.frame) + sum(labelled.dropped.values())
    return labelled


def outcomes(labelled):
    breach = labelled.frame.set_index("ticket_id")["breach"]
    return [" ".join(breach.index[rows]) for rows in (breach, ~breach)]


@pytest.mark.parametrize(
    ("name", "overrides", "breached", "met", "dropped"),
    [
        ("r16", (), "1 2", "", {}),  # JSON lines
        ("r22", GERMAN, "2", "1", {}),
        ("r26a", (), "1 2", "", {}),  # sep=;
        ("r26b", (), "1 2", "", {}),  # three lines of title
        ("r29", (), "1 2", "", {"duplicate_ticket_id": 1}),  # another team, the same label
        ("r41b", (), "1 3", "", {"broken_quote": 1}),
    ],
)
def test_labels_are_right(case, name, overrides, breached, met, dropped):
    labelled = label(case(name, *overrides))
    assert outcomes(labelled) == [breached, met]
    assert labelled.dropped == dropped


def test_costs_with_decimal_commas_and_thousands_points(case):
    labelled = label(case("r22", *GERMAN))
    assert labelled.frame["breach_cost"].tolist() == [12.5, 1234.0]
    assert labelled.frame["resolution_hours"].tolist() == [55, 73]
    with pytest.raises(InputError, match=r"'12,50'.*data\.decimal=',' data\.thousands='\.'"):
        label(case("r22"))


def test_numbers_with_decimal_commas_are_features(case):
    config = case("r23", "data.decimal=','", "features.numeric=[est]")
    hours = make_features(label(config).frame, config.features)["est"]
    assert (len(hours), hours.isna().sum(), hours.iloc[0], hours.max()) == (40, 0, 2.5, 9.7)
    told = [note for note in label(case("r23")).notes if "'2,5'" in note]
    assert len(told) == 1
    assert "data.decimal=','" in told[0]


def test_what_is_left_out_is_told_with_its_row(case):
    notes = label(case("r41b")).notes
    assert any("1 of 3 rows (33.3%)" in note and "broken_quote 1" in note for note in notes)
    assert any("r41b.csv, row 2" in note for note in notes)
    with pytest.raises(InputError, match=r"1 of 3 rows.*max_rejected=0\.2.*row 2"):
        label(case("r41b", "max_rejected=0.2"))


@pytest.mark.parametrize("root", ["train", "analyze"])
def test_both_commands_take_the_share_of_rows_that_may_be_wrong(case, root):
    assert case("r41b", "max_rejected=0.25", root=root).max_rejected == 0.25


# Each file holds the two tickets of r26b: whatever it looks like, so do its labels ---------------

ROWS = [
    ["1", "2026-03-02 09:00", "2026-03-06 16:00", "Low", "A"],
    ["2", "2026-03-02 10:00", "2026-03-05 11:00", "Low", "A"],
]
NAMES = ["Nr", "Opened", "Closed", "Priority", "Team"]
RECORDS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
BODY = "".join(";".join(row) + "\n" for row in ROWS)
HEADER = ";".join(NAMES) + "\n"
TEXT = HEADER + BODY


@pytest.fixture
def write(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return {"path": str(path)}

    return make


@pytest.mark.parametrize(
    "before",
    [
        "Report\n",
        'Report of "all" tickets\n\n\n',
        '"never closed\n',
        "Ticket report;;;;\n;;;;\n",
        "sep=;\n",
        '"sep=;"\r\n',
        "SEP=;\nReport\n",
        "Nr;Opened\n",  # some of the columns are not all of them
        "\ufeffReport\n",
    ],
)
def test_the_header_is_found_below_whatever_stands_before_it(case, write, before):
    labelled = label(case("r26b"), **write("t.csv", before + TEXT))
    assert outcomes(labelled) == ["1 2", ""]
    assert labelled.dropped == {}
    assert labelled.frame["source_row"].tolist() == [1, 2]


def test_the_first_line_says_what_separates_columns(case, write):
    path = write("t.csv", "sep=|\n" + TEXT.replace(";", "|"))
    assert outcomes(label(case("r26b"), **path)) == ["1 2", ""]


def test_a_file_without_a_header_names_columns_by_number(case, write):
    columns = {"ticket_id": "1", "created_at": "2", "resolved_at": "3", "priority": "4"}
    columns["team"] = "5"
    same = {"header": False, "columns": columns}
    assert outcomes(label(case("r26b"), **write("t.csv", BODY), **same)) == ["1 2", ""]
    below = label(case("r26b"), **write("b.csv", "Report\n\n" + BODY), skip_lines=1, **same)
    assert outcomes(below) == ["1 2", ""]
    marked = label(case("r26b"), **write("c.csv", "sep=;\n" + BODY), **same)
    assert outcomes(marked) == ["1 2", ""]
    with pytest.raises(InputError, match="no column '5'"):
        label(case("r26b"), **write("d.csv", BODY.replace(";A", "")), **same)


@pytest.mark.parametrize("total", ["Total", "Grand Total: 2", "Gesamt (2)", "TOTALS", "Total = 2"])
def test_a_row_of_totals_is_no_ticket(case, write, total):
    labelled = label(case("r26b"), **write("t.csv", f"{TEXT}{total};;;;\n"))
    assert outcomes(labelled) == ["1 2", ""]
    assert labelled.dropped == {"total_row": 1}


def test_totals_may_stand_in_any_column_and_tickets_may_be_called_so(case, write):
    labelled = label(case("r26b"), **write("t.csv", f"{TEXT}2;;;;Total\n"))
    assert labelled.dropped == {"total_row": 1}
    named = TEXT.replace("\n1;", "\nTotal 1;").replace(";A", ";Total")
    labelled = label(case("r26b"), **write("n.csv", named))
    assert outcomes(labelled) == ["Total 1 2", ""]


def test_a_footer_is_counted(case, write):
    labelled = label(case("r26b"), **write("t.csv", TEXT + "Generated by Admin\n"))
    assert labelled.dropped == {"wrong_number_of_fields": 1}


NESTED = [
    {"Nr": int(row[0]), "Opened": row[1], "f": {"Closed": row[2], "Priority": {"name": row[3]}}}
    for row in ROWS
]
PATHS = {"ticket_id": "Nr", "created_at": "Opened", "resolved_at": "f.Closed"}
PATHS["priority"] = "f.Priority.name"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.jsonl", "\n".join(map(json.dumps, RECORDS))),
        ("t.ndjson", "\r\n".join(map(json.dumps, RECORDS)) + "\r\n\r\n"),
        ("t.json", "\n".join(map(json.dumps, RECORDS)) + "\n"),
        ("t.json", json.dumps(RECORDS)),
        ("t.json", json.dumps(RECORDS, indent=2)),
        ("t.json", json.dumps({"count": 2, "result": RECORDS}, indent=1)),
        ("t.json", json.dumps({"result": RECORDS}) + "\n"),
        ("export", "\ufeff" + json.dumps(RECORDS)),
        ("export.csv", json.dumps(RECORDS[0]) + "\n" + json.dumps(RECORDS[1])),
    ],
)
def test_json_lines_and_lists(case, write, name, text):
    assert outcomes(label(case("r26b"), **write(name, text))) == ["1 2", ""]


def test_json_in_an_archive(case, tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.jsonl", "\n".join(map(json.dumps, RECORDS)))
    assert outcomes(label(case("r26b"), path=str(tmp_path / "t.zip"))) == ["1 2", ""]


def test_objects_in_objects_are_columns_with_points(case, write):
    known = replace(case("r26b").data.known, created=["ticket_id", "created_at", "priority"])
    labelled = label(
        case("r26b"), columns=PATHS, known=known, **write("t.json", json.dumps(NESTED))
    )
    assert outcomes(labelled) == ["1 2", ""]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", "[{]", "no JSON"),
        ("t.json", "[1, 2]", "no list of JSON objects"),
        ("t.json", '{"a": [{"x": 1}], "b": [{"x": 1}]}', "several lists"),
        ("t.json", "[]", "no tickets"),
        ("t.jsonl", "{broken\n{broken\n", "no column"),
        ("t.jsonl", '{"Nr": 1}\n', "no column 'Opened'"),
        ("t.json", "[" * 100_000, "no JSON"),
        ("t.xlsx", "no workbook", "no workbook"),
    ],
)
def test_json_and_workbooks_that_cannot_be_read_cost_one_sentence(case, write, name, text, message):
    with pytest.raises(InputError, match=message) as caught:
        label(case("r26b"), **write(name, text))
    assert "\n" not in str(caught.value)


# Workbooks ---------------------------------------------------------------------------------------


def write_workbook(path, sheets, startrow=0):
    with pd.ExcelWriter(path) as book:
        for sheet, table in sheets.items():
            table.to_excel(book, sheet_name=sheet, index=False, startrow=startrow)
        if startrow:
            for sheet in book.sheets.values():
                sheet["A1"] = "Ticket report"
    return {"path": str(path)}


TABLE = pd.DataFrame(RECORDS)
DATED = TABLE.assign(
    Nr=[1.0, 2.0], Opened=pd.to_datetime(TABLE["Opened"]), Closed=pd.to_datetime(TABLE["Closed"])
)


@pytest.mark.parametrize("table", [TABLE, DATED], ids=["text", "dates"])
@pytest.mark.parametrize("startrow", [0, 3])
def test_a_workbook_gives_the_fingerprint_of_the_csv(case, write, tmp_path, table, startrow):
    expected = label(case("r26b"), **write("t.csv", TEXT)).fingerprint
    other = pd.DataFrame({"Nr": [1], "Notes": ["x"]})
    path = write_workbook(tmp_path / "t.xlsx", {"Notes": other, "Tickets": table}, startrow)
    assert label(case("r26b"), **path).fingerprint == expected
    assert label(case("r26b"), sheet="Tickets", **path).fingerprint == expected


def test_the_sheet_is_named_where_it_is_not_to_be_known(case, tmp_path):
    path = write_workbook(tmp_path / "t.xlsx", {"March": TABLE, "April": TABLE[:1]})
    with pytest.raises(InputError, match=r"2 of its sheets.*data\.sheet.*March, April"):
        label(case("r26b"), **path)
    assert outcomes(label(case("r26b"), sheet="April", **path)) == ["1", ""]
    with pytest.raises(InputError, match="has no sheet 'May'"):
        label(case("r26b"), sheet="May", **path)
    path = write_workbook(tmp_path / "n.xlsx", {"Notes": TABLE[["Nr"]], "More": TABLE[["Nr"]]})
    with pytest.raises(InputError, match="no sheet of it has the columns"):
        label(case("r26b"), **path)


def test_a_column_of_days_stays_one_and_midnight_is_a_time(case, tmp_path):
    """A due day lasts to its end, midnight does not: which it is shows the column, not the cell."""
    table = DATED.assign(Due=pd.to_datetime(["2026-03-06", "2026-03-05"]))
    columns = {**case("r26b").data.columns, "due_at": "Due"}
    due = {"columns": columns, "label": Label(kind=LabelKind.due_date)}
    days = label(case("r26b"), **write_workbook(tmp_path / "d.xlsx", {"T": table}), **due)
    assert outcomes(days) == ["", "1 2"]
    table["Due"] = pd.to_datetime(["2026-03-06 00:00", "2026-03-05 12:00"])
    times = label(case("r26b"), **write_workbook(tmp_path / "t.xlsx", {"T": table}), **due)
    assert outcomes(times) == ["1", "2"]


# Databases ---------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path):
    with sqlite3.connect(tmp_path / "desk.db") as connection:
        TABLE.astype({"Nr": int}).to_sql("tickets", connection, index=False)
    connection.close()
    return f"sqlite:///{tmp_path / 'desk.db'}"


def test_a_query_gives_the_fingerprint_of_the_csv(case, write, database):
    expected = label(case("r26b"), **write("t.csv", TEXT)).fingerprint
    found = label(case("r26b"), path=database, query="SELECT * FROM tickets")
    assert found.fingerprint == expected


@pytest.mark.parametrize(
    ("address", "query", "message"),
    [
        ("{}", None, r"data\.query"),
        ("{}", "SELECT * FROM nowhere", "no such table: nowhere"),
        ("{}", "CREATE TABLE more (x)", "must be a SELECT"),
        ("{}", "SELECT Nr FROM tickets", "no column 'Opened'"),
        ("{}", "SELECT * FROM tickets WHERE Nr > 9", "no tickets"),
        ("sqlite:///nowhere.db", "SELECT 1", "no such file"),
        ("nosuch://host/desk", "SELECT 1", "no driver"),
        ("nonsense://:x:y", "SELECT 1", "no address|no driver"),
    ],
)
def test_a_query_that_fails_costs_one_sentence(case, database, address, query, message):
    with pytest.raises(InputError, match=message) as caught:
        label(case("r26b"), path=address.format(database), query=query)
    assert "\n" not in str(caught.value)
    assert not Path("nowhere.db").exists()


def test_the_address_takes_passwords_from_the_environment(case, tmp_path, database, monkeypatch):
    hidden = f"sqlite:///{tmp_path}/$DESK"
    query = "SELECT * FROM tickets"
    with pytest.raises(InputError, match="variable DESK is not set"):
        label(case("r26b"), path=hidden, query=query)
    monkeypatch.setenv("DESK", "desk.db")
    assert outcomes(label(case("r26b"), path=hidden, query=query)) == ["1 2", ""]
    monkeypatch.setenv("DESK", "another.db")
    with pytest.raises(InputError) as caught:
        label(case("r26b"), path=hidden, query=query)
    assert "another.db" not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    ["postgresql://me:hush@host/desk", "mssql://host/desk?user=me&password=hush"],
)
def test_a_password_in_plain_text_is_refused_and_not_shown(case, composed, address):
    with pytest.raises(InputError, match=r"data.path.*environment variable") as caught:
        case("r26b", f"data.path='{address}'")
    assert "hush" not in str(caught.value)
    for key in ("input", "history"):
        with pytest.raises(InputError, match=rf"{key}.*environment variable") as caught:
            composed(f"{key}='{address}'", root="score")
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["postgresql://me:$PASSWORD@host/desk", "postgresql://me@host:5432/desk", "a:b@c"]
)
def test_an_address_without_a_password_is_taken(case, address):
    assert case("r26b", f"data.path='{address}'").data.path == address
