import pandas as pd
import pytest

from slarisk.scoring.spark import rows
from slarisk.scoring.spark.rows import Piece, list_pieces


@pytest.fixture
def files(tmp_path, raw):
    """A CSV, and a Parquet file in row groups of 300, 300, 300 and 100."""
    raw.head(5).to_csv(tmp_path / "a.csv", index=False)
    raw.to_parquet(tmp_path / "b.parquet", row_group_size=300)
    return [str(tmp_path / name) for name in ("a.csv", "b.parquet")]


def test_a_large_parquet_file_is_read_by_many_tasks(files, trained, monkeypatch):
    monkeypatch.setattr(rows, "PIECE_ROWS", 500)
    csv, parquet = files
    assert list_pieces(trained.config.data, files) == [
        Piece(0, csv),
        Piece(1, parquet, first=0, last=2, before=0),
        Piece(1, parquet, first=2, last=4, before=600),
    ]


def test_pieces_together_are_the_file(files, trained, raw, monkeypatch):
    monkeypatch.setattr(rows, "PIECE_ROWS", 1)
    manifest = trained.bundle.manifest
    pieces = list_pieces(manifest.data, files[1:])
    read = pd.concat(
        frame
        for piece in pieces
        for frame in rows.read_pieces(manifest, ["ticket_id"], None, iter([pd.DataFrame([piece])]))
    )
    assert len(pieces) == 4
    assert read["ticket_id"].tolist() == raw["Ticket ID"].tolist()
    assert read["source_row"].tolist() == list(range(1, 1001))
    assert read[rows.POSITION].is_monotonic_increasing
