import pandas as pd
import pytest
from jinja2 import UndefinedError

from slarisk.reports.page import FEW_ROWS, MOST_ROWS, Cell, format_table, render

COLUMNS = [
    ("team", "Team", "text"),
    ("rate", "Rate", "rate"),
    ("low..high", "Interval", "rate"),
    ("cost", "Cost", "dollars"),
    ("absent", "Absent", "text"),
]


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


def test_cells_are_written_for_people(frame):
    table = format_table(frame, COLUMNS)
    assert table.headings == [Cell("Team", "text"), Cell("Rate"), Cell("Interval"), Cell("Cost")]
    assert table.rows[0] == [
        Cell("Team 0", "text"),
        Cell("33.3%", exact="0.333333"),
        Cell("25.0 to 50.0%"),
        Cell("$1,234"),
    ]
    assert table.rows[1][3].text == "\u2013"
    assert table.rows[2][3].text == "-$5"


def test_long_text_is_wrapped(frame):
    table = format_table(frame.assign(team="x" * 29), COLUMNS)
    assert table.rows[0][0].classes == "text long"


def test_a_column_without_values_is_left_out(frame):
    table = format_table(frame.assign(high=float("nan")), COLUMNS)
    assert [cell.text for cell in table.headings] == ["Team", "Rate", "Cost"]


def test_the_csv_holds_what_the_page_does_not(frame):
    many = pd.concat([frame] * 30, ignore_index=True)
    table = format_table(many, COLUMNS[:1])
    assert (len(table.rows), table.total) == (MOST_ROWS, 360)
    assert table.csv == many.to_csv(index=False, lineterminator="\n")
    assert FEW_ROWS < MOST_ROWS


def test_data_that_a_template_lacks_is_an_error():
    with pytest.raises(UndefinedError):
        render("report.html.j2", changes=None)
