import json
import re

import pandas as pd
import pytest

from slarisk.analysis.page import Page

COLUMNS = {
    "team": ("Team", "text"),
    "rate": ("Rate", "rate"),
    "low..high": ("Interval", "rate"),
    "cost": ("Cost", "dollars"),
    "absent": ("Absent", "text"),
}


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "team": [f"Team {i}" for i in range(12)],
            "rate": [1 / 3] * 12,
            "low": [0.25] * 12,
            "high": [0.5] * 12,
            "cost": [1234.4, float("nan"), *[-5.0] * 10],
        }
    )


def test_a_table_shows_the_first_rows_and_hands_out_all(frame):
    text = Page().table(frame, COLUMNS, "teams", "All <teams>")
    assert "<caption>All &lt;teams&gt;</caption>" in text
    assert text.count("<tr>") == 11  # the head and ten rows
    assert text.count("<tr class=more>") == 2
    assert "Show all 12 rows" in text
    assert "Absent" not in text
    (csv,) = re.findall(r'id="table-1-csv">(.*?)</script>', text)
    assert json.loads(csv) == frame.to_csv(index=False, lineterminator="\n")


def test_cells_are_written_for_people(frame):
    text = Page().table(frame, COLUMNS, "teams", "")
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text)[:8]
    assert cells[:4] == ["Team 0", "33.3%", "25.0 to 50.0%", "$1,234"]
    assert cells[7] == "\u2013"
    assert '<td title="0.333333">' in text


def test_parts_of_a_page_have_names_of_their_own(frame):
    page = Page()
    ids = re.findall(r' id="([\w-]+)"', page.table(frame, COLUMNS, "a", ""))
    ids += re.findall(r' id="([\w-]+)"', page.table(frame, COLUMNS, "b", ""))
    assert len(ids) == len(set(ids)) == 4
