import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slarisk.config import (
    ChosenEvent,
    CostColumns,
    Creation,
    CreationKind,
    EventLog,
    Known,
    Label,
    LabelKind,
    Moment,
)
from slarisk.errors import InputError
from slarisk.tickets.fields import validate_known, validate_policy
from slarisk.tickets.prepare import prepare_tickets, read_tickets
from slarisk.times.dates import read_dates

FORMATS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d/%m/%Y %H:%M",
    "%d-%m-%y %H:%M",
    "%m.%d.%Y %H:%M",
]


COLUMNS = {"ticket_id": "Id", "created_at": "Opened", "resolved_at": "Done"}


def text(*values):
    return pd.Series(values, dtype="str")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2023-06-01 12:15:36", "2023-06-01 12:15:36"),
        ("2023-06-01 7:29", "2023-06-01 07:29"),
        ("29/2/2016 01:16", "2016-02-29 01:16"),
        ("1/3/2016 9:05", "2016-03-01 09:05"),
        ("01-06-23 12:15", "2023-06-01 12:15"),
        ("6.1.2023 12:15", "2023-06-01 12:15"),
    ],
)
def test_the_ways_dates_are_written(written, meant):
    assert read_dates(text(written), FORMATS).tolist() == [pd.Timestamp(meant)]


def test_mixed_dates_each_take_the_first_format_that_fits():
    dates = read_dates(
        text("2023-06-01 12:15", None, "30/2/2016 01:16", "2023-06-01 12:15:36"), FORMATS
    )
    assert dates.isna().tolist() == [False, True, True, False]


def test_offsets_are_turned_to_utc():
    dates = read_dates(text("2024-01-01T08:00:00+02:00", "2024-01-01T08:00:00"), ["ISO8601"])
    assert dates.tolist() == [pd.Timestamp("2024-01-01 06:00"), pd.Timestamp("2024-01-01 08:00")]


@given(
    st.lists(
        st.datetimes(min_value=pd.Timestamp("1970-01-01"), max_value=pd.Timestamp("2068-01-01")),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(FORMATS),
    st.booleans(),
)
def test_what_is_written_in_a_format_is_read_back(moments, date_format, padded):
    written = [moment.strftime(date_format) for moment in moments]
    if not padded:
        written = [re.sub(r"\b0(?=\d[-/.:])", "", moment) for moment in written]
    again = read_dates(text(*written), [date_format])
    unit = "s" if "%S" in date_format else "min"
    assert again.tolist() == [pd.Timestamp(moment).floor(unit) for moment in moments]


@pytest.mark.parametrize("written", ["2024", "2024-01", "1704096000", "45292", "08:00"])
def test_half_a_date_is_none(written):
    assert read_dates(text(written), ["ISO8601"]).isna().all()


def test_text_is_trimmed_renamed_and_missing_marks_are_gaps(write, make_policy):
    write(["1, 2024-01-01 08:00 ,?,2024-01-01 12:00, P1 ", "2,2024-01-01 08:00,?,?,P2"])
    policy = make_policy(missing=["", "?"], values={"priority": {"P1": "Critical"}})
    tickets = read_tickets(policy).frame
    assert tickets["priority"].tolist() == ["Critical", "P2"]
    assert tickets["created_at"].notna().all()
    assert tickets["first_response_at"].isna().all()
    assert (tickets["unreadable_dates"] == "").all()


def test_typed_dates_are_read_under_any_formats(tmp_path, make_policy):
    times = pd.to_datetime(["2024-01-01 08:00:00", "2024-01-02 09:30:15"])
    frame = pd.DataFrame({"Id": ["1", "2"], "Opened": times, "Replied": times, "Done": times})
    frame.assign(Prio="Low").to_parquet(tmp_path / "tickets.parquet")
    tickets = read_tickets(make_policy("tickets.parquet", date_formats=["%d.%m.%Y"])).frame
    assert tickets["created_at"].tolist() == list(times)


def test_unreadable_dates_are_named_by_column(write, make_policy):
    write(["1,soon,later,2024-01-01 12:00,Low"])
    assert read_tickets(make_policy()).frame["unreadable_dates"].tolist() == ["Opened, Replied"]


def test_events_are_ordered_by_number_and_ties_by_the_file(write, make_policy):
    write(["A,10,,last,Low", "A,9,,first,Low", "B,1,,one,Low", "B,1,,two,Low", "A,10,,tie,Low"])
    columns = {"ticket_id": "Id", "n": "Opened", "state": "Done", "priority": "Prio"}
    policy = make_policy(
        columns=columns,
        known=Known(created=["ticket_id"]),
        label=Label(kind=LabelKind.column, column="state"),
        events=EventLog(order="n"),
    )
    tickets = read_tickets(policy).frame
    assert tickets[["ticket_id", "state"]].to_numpy().tolist() == [["A", "tie"], ["B", "two"]]


def by_time(make_policy):
    columns = {"ticket_id": "Id", "moved_at": "Opened", "state": "Done"}
    return make_policy(
        columns=columns,
        dates=["moved_at"],
        date_formats=["%d/%m/%Y %H:%M"],
        known=Known(created=["ticket_id"]),
        label=Label(kind=LabelKind.column, column="state"),
        events=EventLog(order="moved_at"),
    )


def test_events_can_be_ordered_by_a_date(write, make_policy):
    write(["A,2/1/2024 9:00,,middle,", " A ,10/1/2024 9:00,,last,", "A,1/2/2023 9:00,,first,"])
    tickets = read_tickets(by_time(make_policy)).frame
    assert tickets[["ticket_id", "state"]].to_numpy().tolist() == [["A", "last"]]


def test_events_without_an_order_are_refused_whatever_is_required(write, make_policy):
    write(["A,tomorrow,,x,", "A,soon,,x,"])
    with pytest.raises(InputError, match=r"row 1: column 'Opened' .* a date, not 'tomorrow'"):
        read_tickets(by_time(make_policy))
    write(["A,x"], header="Id,Done")
    with pytest.raises(InputError, match="no column 'Opened'"):
        read_tickets(by_time(make_policy), ["ticket_id"])


def test_events_without_a_ticket_stay_apart(write, make_policy):
    write([",1/1/2024 9:00,,x,", "A,1/1/2024 9:00,,x,", ",1/1/2024 9:00,,y,"])
    tickets = read_tickets(by_time(make_policy)).frame
    assert tickets["state"].tolist() == ["x", "x", "y"]
    assert tickets["ticket_id"].isna().tolist() == [True, False, True]


def test_an_event_without_a_number_is_left_out(write, make_policy):
    write(["A,1,,x,Low", "A,later,,x,Low"])
    columns = {"ticket_id": "Id", "n": "Opened", "state": "Done"}
    policy = make_policy(
        columns=columns,
        known=Known(),
        label=Label(kind=LabelKind.column, column="state"),
        events=EventLog(order="n"),
    )
    typed = read_tickets(policy)
    assert typed.frame["state"].tolist() == ["x"]
    (lost,) = typed.broken
    assert (lost.row, lost.reason, lost.detail) == (2, "unreadable_event_order", "column Opened")


def test_a_feature_known_too_late_is_refused(make_policy):
    policy = make_policy()
    validate_known(["priority", "created_at"], policy, Moment.created)
    validate_known(["first_response_at"], policy, Moment.first_response)
    with pytest.raises(
        InputError,
        match=r"moment is 'created'.*'small' says that first_response_at \(column 'Replied'\) is "
        r"known at: first_response; resolved_at \(column 'Done'\) is known at: resolved",
    ):
        validate_known(["priority", "first_response_at", "resolved_at"], policy, Moment.created)


def test_an_unlisted_field_is_never_known(make_policy):
    policy = make_policy(known=Known(created=["ticket_id"]))
    with pytest.raises(InputError, match=r"priority .*known at: never"):
        validate_known(["priority"], policy, Moment.resolved)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dates": ["paid_at"]}, "dates names the field 'paid_at'"),
        ({"known": Known(created=["mood"])}, r"known\.created names the field 'mood'"),
        ({"known": Known(created=["priority"], resolved=["priority"])}, "under two moments"),
        ({"values": {"mood": {"a": "b"}}}, "values names the field 'mood'"),
        ({"costs": CostColumns(breach="damage")}, "costs names the field 'damage'"),
        ({"label": Label(kind=LabelKind.column, column="sla")}, r"label\.column names .*'sla'"),
        ({"label": Label(kind=LabelKind.column)}, r"must map the field 'label\.column'"),
        ({"label": Label(kind=LabelKind.due_date)}, "must map the field 'due_at'"),
        ({"label": Label(known_at="closed_at")}, r"label\.known_at names the field 'closed_at'"),
        ({"events": EventLog(order="n")}, r"events\.order names the field 'n'"),
        ({"date_formats": ["%Y-%Q"]}, "data.date_formats: '%Y-%Q'"),
        ({"date_formats": ["%Y %Y"]}, "data.date_formats: '%Y %Y'"),
        ({"date_formats": ["dd.mm.yyyy"]}, "'dd.mm.yyyy' reads no date"),
        ({"creation": Creation(low_hours=6)}, r"low_hours=6.*high_hours=5"),
        ({"dates": ["priority"]}, "the field priority cannot be a date"),
        ({"costs": CostColumns(breach="created_at")}, "field created_at cannot be a date"),
        ({"label": Label(known_at="priority")}, "label.known_at=priority must be a date"),
        ({"columns": {**COLUMNS, "breach": "Prio"}}, "cannot be called breach.*: Prio"),
        ({"date_formats": ["%d/%m/%Y %H:%M %p"]}, r"%H:%M %p'.*Write %I"),
        ({"date_formats": ["%d/%m/%Y %I:%M"]}, r"%I:%M'.*Write %H"),
        ({"date_formats": []}, "data.date_formats: must name a format"),
        ({"date_formats": ["%d/%m/%Y", "%m/%d/%Y"]}, "as different days.*data.formats_of"),
        ({"date_formats": ["ISO8601", "%Y-%d-%m %H:%M"]}, "as different days"),
        ({"formats_of": {"created_at": ["%d.%m.%y", "%m.%d.%y"]}}, "data.formats_of.created_at"),
        ({"formats_of": {"priority": ["%Y-%m-%d"]}}, "formats_of.priority must be a date"),
        ({"times": {"created_at": "clock"}}, "times names the field 'clock'"),
        ({"times": {"priority": "ticket_id"}}, "times.priority must be a date"),
        ({"durations": {"took": "hours"}}, "durations names the field 'took'"),
        ({"ignore_case": ["mood"]}, "ignore_case names the field 'mood'"),
        ({"label": Label(closed_statuses=["Closed"])}, "field status, which"),
        (
            {
                "columns": {**COLUMNS, "status": "Prio"},
                "label": Label(closed_statuses=["Done"], cancelled_statuses=["done"]),
            },
            "done stands in",
        ),
        (
            {"events": EventLog("created_at", take={"resolved_at": ChosenEvent(["Resolve"])})},
            "events.kind must say",
        ),
        (
            {"events": EventLog("created_at", kind="priority", take={"mood": ChosenEvent()})},
            "events.take names the field 'mood'",
        ),
        (
            {
                "columns": {"ticket_id": "Id", "resolved_at": "Done"},
                "creation": Creation(kind=CreationKind.imputed),
            },
            "must map the field 'first_response_at'",
        ),
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(make_policy, settings, message):
    with pytest.raises(InputError, match=message):
        validate_policy(make_policy(**({"known": Known()} | settings)))


FOURTH_SYSTEM = """
name: fourth
path: {path}
delimiter: ";"
date_formats: ["%d.%m.%Y %H:%M"]
columns:
  ticket_id: Nr
  created_at: Erstellt
  resolved_at: Erledigt
  due_at: Faellig
  team: Team
  damage: Schaden
  effort: Aufwand
known:
  created: [ticket_id, created_at, due_at, team, damage, effort]
  resolved: [resolved_at]
label:
  kind: due_date
costs:
  breach: damage
  escalation: effort
features:
  categorical: [team]
segments: [team]
"""


def test_a_fourth_ticket_system_is_one_yaml_and_no_code(tmp_path, composed):
    export = tmp_path / "export.csv"
    export.write_text(
        "Nr;Erstellt;Erledigt;Faellig;Team;Schaden;Aufwand\n"
        "7001;1.3.2026 08:15;1.3.2026 11:02;1.3.2026 12:15;Netz;120;8\n"
        "7002;3.2.2026 8:20;2.3.2026 11:02;1.3.2026 12:15;Mail;90.5;12\n"
        "7003;1.3.2026 8:20;;1.3.2026 12:15;Mail;;\n"  # open, and past its due date
        "7004;2.3.2026 8:20;;9.3.2026 12:15;Mail;;\n"  # open, in time
        "7005;2.3.2026;;9.3.2026 12:15;Mail;;\n",  # a date in no format that is named
        encoding="latin-1",
    )
    (tmp_path / "data").mkdir()
    described = FOURTH_SYSTEM.format(path=export)
    (tmp_path / "data" / "fourth.yaml").write_text(described)
    config = composed("data=fourth", search=tmp_path)
    labelled = prepare_tickets(config.data, config.sla, config.cost)
    assert labelled.dropped == {"open": 1, "unreadable_date": 1, "bad_cost": 1}
    assert any("row 3: column 'Schaden' is the breach cost" in note for note in labelled.notes)

    export.write_text(export.read_text().replace("Mail;;", "Mail;70;0", 1))
    labelled = prepare_tickets(config.data, config.sla, config.cost)
    frame = labelled.frame
    assert frame["breach"].tolist() == [False, True, True]
    assert frame["breach_cost"].tolist() == [120, 90.5, 70]
    assert frame["escalation_cost"].tolist() == [8, 12, 0]
    assert frame["created_at"].dt.strftime("%m-%d").tolist() == ["03-01", "02-03", "03-01"]
    assert frame["sla_target_hours"].iloc[0] == 4
    assert labelled.dropped == {"open": 1, "unreadable_date": 1}
    assert config.features.categorical == ["team"]
