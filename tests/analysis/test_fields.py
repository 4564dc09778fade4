import numpy as np
import pandas as pd
import pytest

from slarisk.analysis.fields import (
    NONE,
    code_field,
    cross_fields,
    has_field,
    list_categories,
    pool_rare,
    read_numeric_fields,
    require_fields,
)
from slarisk.errors import InputError


@pytest.fixture
def data(composed):
    return composed("data=sample").data


@pytest.fixture
def tickets():
    return pd.DataFrame(
        {
            "ticket_id": pd.Series(["1", "2", "3"], dtype="str"),
            "priority": pd.Series(["Low", "Critical", "High"], dtype="str"),
            "channel": pd.Series(["Chat", None, "Chat"], dtype="str"),
            "customer_age": pd.Series(["30", None, "45"], dtype="str"),
            "subject": pd.Series(["a", "b", "c"], dtype="str"),
            "created_at": pd.to_datetime(
                ["2024-01-01 08:30", "2024-01-06 00:00", "2024-01-07 00:00"]
            ),
            "purchased_at": pd.to_datetime(["2023-12-31 08:30", None, "2024-01-01 00:00"]),
            "sla_target_hours": [72.0, 4.0, 8.0],
            "breach_cost": [10.0, 500.0, 200.0],
        }
    )


def test_priorities_stand_in_order_of_their_target(tickets, data):
    field = code_field(tickets, data, "priority")
    assert field.levels == ("Critical", "High", "Low")
    assert field.codes.tolist() == [2, 0, 1]
    assert field.natural


def test_a_missing_value_is_a_level(tickets, data):
    field = code_field(tickets, data, "channel")
    assert [field.levels[code] for code in field.codes] == ["Chat", NONE, "Chat"]


def test_the_calendar_comes_from_the_creation(tickets, data):
    hour, weekday = (code_field(tickets, data, name) for name in ("hour", "weekday"))
    assert [hour.levels[code] for code in hour.codes] == ["08", "00", "00"]
    assert [weekday.levels[code] for code in weekday.codes] == ["Monday", "Saturday", "Sunday"]


def test_numbers_are_ages_and_days(tickets, data):
    numbers = read_numeric_fields(tickets, data)
    assert set(numbers) == {
        "customer_age",
        "days since purchased",
        "days since the first ticket",
    }
    np.testing.assert_array_equal(numbers["customer_age"], [30, np.nan, 45])
    np.testing.assert_array_equal(numbers["days since purchased"], [1, np.nan, 6])


def test_a_drawn_creation_is_no_driver(tickets, composed):
    data = composed("data=kaggle").data
    assert "days since the first ticket" not in read_numeric_fields(tickets, data)


def test_a_canonical_field_may_be_missing_any_other_not(tickets, data):
    assert require_fields(tickets, data, ["product", "channel"], "fields") == ["channel"]
    with pytest.raises(InputError, match=r"fields: .*'colour'.*channel"):
        require_fields(tickets, data, ["colour"], "fields")
    with pytest.raises(InputError, match="purchased_at"):
        require_fields(tickets, data, ["purchased_at"], "fields")


def test_ids_and_dates_are_no_fields(tickets, data):
    assert not has_field(tickets, data, "ticket_id")
    assert not has_field(tickets, data, "created_at")
    assert list_categories(tickets, data) == ["priority", "channel", "subject"]


def test_fields_cross_to_the_combinations_there_are(code):
    first, second = code("a", ["x", "y", "x", "y"]), code("b", ["1", "2", "1", "1"])
    codes, names = cross_fields([first, second])
    assert names == [("x", "1"), ("y", "1"), ("y", "2")]
    assert codes.tolist() == [0, 2, 0, 1]


def test_rare_levels_are_put_together(code):
    field = pool_rare(code("a", ["x", "x", "x", "y", "z"]), 2)
    assert field.levels == ("x", "(rare values)")
    assert field.codes.tolist() == [0, 0, 0, 1, 1]
