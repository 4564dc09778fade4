"""The same rows from another source: the same scores, and the same rows rejected."""

import json
import sqlite3
from types import SimpleNamespace

import pandas as pd
import pytest

from slarisk.errors import InputError
from slarisk.exports import read as read_module
from slarisk.scoring.output_files import rejected_path
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task

QUERY = "SELECT * FROM tickets WHERE 'a:b' <> '%' ORDER BY rowid"


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Scores a source read in parts of a few rows; gives what was written."""
    monkeypatch.setattr(read_module, "PART_BYTES", 3000)
    monkeypatch.setattr(read_module, "PART_ROWS", 37)

    def run(made, source, output):
        path = tmp_path / output
        rejected = rejected_path(path)
        decision = made.bundle.manifest.decision
        score_stream(Task(made.bundle, decision, str(source), path, rejected, "1", "now"))
        wrong = pd.read_csv(rejected, dtype="str").drop(columns=["file", "line"])
        return SimpleNamespace(export=path.read_text(), rejected=wrong)

    return run


@pytest.fixture
def spoilt(raw):
    """Raw tickets, with a repeated id, an unreadable date, a total and a missing id."""
    table = raw.astype("str").iloc[:200].copy()
    table.loc[table.index[[10, 150]], "Ticket ID"] = "twice"
    table.loc[table.index[20], "Created At"] = "soon"
    table.loc[table.index[30], "Ticket ID"] = None
    table.loc[table.index[199], ["Ticket ID", "Created At"]] = ["Total: 199", None]
    return table


def write_lines(table, path):
    records = [row.dropna().to_dict() for _, row in table.iterrows()]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def write_database(table, path):
    with sqlite3.connect(path) as connection:
        table.to_sql("tickets", connection, index=False)
    connection.close()
    return f"sqlite:///{path}"


@pytest.mark.slow
def test_every_source_gives_the_same_scores(train, spoilt, score, tmp_path):
    made = train("features=customer", f'data.query="{QUERY}"')
    spoilt.to_csv(tmp_path / "t.csv", index=False)
    spoilt.to_parquet(tmp_path / "t.parquet")
    spoilt.to_json(tmp_path / "t.json", orient="records", indent=1)
    spoilt.to_excel(tmp_path / "t.xlsx", index=False)
    sources = [tmp_path / f"t.{ending}" for ending in ("parquet", "json", "xlsx")]
    sources += [write_lines(spoilt, tmp_path / "t.jsonl")]
    sources += [write_database(spoilt, tmp_path / "t.db")]
    expected = score(made, tmp_path / "t.csv", "csv.csv")
    reasons = expected.rejected["reason"].value_counts().to_dict()
    assert reasons == {
        "duplicate_ticket_id": 1, "unreadable_date": 1, "total_row": 1, "no_ticket_id": 1
    }  # fmt: skip
    for number, source in enumerate(sources):
        found = score(made, source, f"{number}.csv")
        assert found.export == expected.export, source
        pd.testing.assert_frame_equal(found.rejected, expected.rejected)


def test_lines_that_are_no_json_are_rejected_with_their_place(train, raw, score, tmp_path):
    path = write_lines(raw.astype("str").iloc[:100], tmp_path / "t.jsonl")
    lines = path.read_text().splitlines()
    lines[5:5] = ["", "{broken", "[1, 2]"]
    path.write_text("\n".join(lines))
    score(train(), path, "lines.csv")
    wrong = pd.read_csv(tmp_path / "lines.csv.rejected.csv")
    assert wrong[["row", "line", "reason"]].to_numpy().tolist() == [
        [6, 7, "broken_json"],
        [7, 8, "broken_json"],
    ]


def test_rows_of_a_query_are_streamed(train, raw, tmp_path, monkeypatch):
    """A part is read when it is asked for, and holds no more rows than one may."""
    monkeypatch.setattr(read_module, "PART_ROWS", 40)
    data = train(f'data.query="{QUERY}"').config.data
    address = write_database(raw.astype("str").iloc[:100], tmp_path / "t.db")
    parts = read_module.read_parts(data, ["ticket_id"], ["ticket_id"], address)
    assert [len(part.parse()) for part in parts] == [40, 40, 20]


def test_a_database_without_a_query_is_refused(train, score, tmp_path):
    with pytest.raises(InputError, match=r"data\.query"):
        score(train(), "sqlite:///nowhere.db", "x.csv")
