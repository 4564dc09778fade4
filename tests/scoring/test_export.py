import os
import stat

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slarisk.errors import InputError
from slarisk.scoring import export as export_module
from slarisk.scoring.bundle import PROBABILITY
from slarisk.scoring.export import (
    neutralise,
    notebook_export,
    rejected_path,
    score_tickets,
    write_all,
)
from slarisk.scoring.memory import NEW, OUT_OF_FOLD, TEST
from slarisk.tickets.contract import read_tickets
from slarisk.tickets.labels import prepare_tickets

# Written out here and not imported: dashboards read these names in this order.
HEADER = [
    *("Ticket ID", "Ticket_Date", "Ticket Priority", "Ticket Channel", "Ticket Type"),
    *("Product Purchased", "Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"),
    *("Pred_Breach_Prob", "Risk_Bucket", "Escalate", "Expected_Loss_If_Left"),
    *("Expected_Loss_If_Escalated", "Score_Origin", "Model_Version", "Scored_At"),
]
REJECTED_HEADER = ["file", "row", "Ticket ID", "reason", "detail"]
NOW = "2025-01-01T00:00:00+00:00"


def score(made, tickets=None):
    return score_tickets(made.bundle, made.tickets if tickets is None else tickets, "3", NOW)


def read(made, raw, folder, *rows):
    """Reads an export of some rows: each a dict of what differs from the first rows of raw."""
    table = raw.head(len(rows)).copy()
    for position, changes in enumerate(rows):
        for column, value in changes.items():
            table.loc[position, column] = value
    table.to_csv(folder / "tickets.csv", index=False)
    return read_tickets(made.bundle.manifest.data, ["ticket_id"], str(folder / "tickets.csv"))


@pytest.fixture(scope="module")
def scored(trained):
    return score(trained)


def test_the_header_is_what_dashboards_read(scored):
    assert scored.export.columns.tolist() == HEADER
    assert scored.rejected.columns.tolist() == REJECTED_HEADER


def test_a_resolved_ticket_by_hand(trained, raw, tmp_path):
    changes = {
        "Ticket ID": "A-1",
        "Created At": "2024-05-06 08:00:00",
        "Time to Resolution": "2024-05-07 08:30:00",
        "Ticket Priority": "Medium",
        "Ticket Channel": "Phone",
        "Ticket Type": "Billing inquiry",
        "Product Purchased": None,
    }
    late, met = changes, changes | {"Ticket ID": "A-2", "Time to Resolution": "2024-05-07 08:00:00"}
    rows = score(trained, read(trained, raw, tmp_path, late, met)).export

    first = rows.iloc[0]
    assert first["Ticket ID"] == "A-1"
    assert first["Ticket_Date"] == "2024-05-06"
    assert first["Ticket Priority"] == "Medium"
    assert first["Ticket Channel"] == "Phone"
    assert first["Ticket Type"] == "Billing inquiry"
    assert pd.isna(first["Product Purchased"])
    assert rows["Resolution_Hours"].tolist() == [24.5, 24]
    assert rows["Is_SLA_Breach"].tolist() == [True, False]
    assert rows["Breach_Cost"].tolist() == [50, 0]
    assert first["Score_Origin"] == NEW
    assert first["Model_Version"] == "3"
    assert first["Scored_At"] == NOW


def test_outcomes_are_those_of_training(trained, scored):
    labelled = pd.concat([trained.training, trained.test]).set_index("ticket_id")
    resolved = labelled[labelled["resolved_at"].notna()]
    rows = scored.export.set_index("Ticket ID").loc[resolved.index]

    assert (rows["Resolution_Hours"] == resolved["resolution_hours"]).all()
    assert (rows["Is_SLA_Breach"].astype(bool) == resolved["breach"]).all()
    assert (rows["Breach_Cost"] == resolved["breach_cost"].where(resolved["breach"], 0)).all()


def test_an_open_ticket_has_a_score_but_no_outcome(trained, scored):
    is_open = trained.tickets["resolved_at"].isna().to_numpy()
    rows = scored.export[is_open]

    assert 150 < len(rows) < 300
    assert rows[["Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"]].isna().all(axis=None)
    assert rows["Pred_Breach_Prob"].between(0, 1).all()
    assert rows["Risk_Bucket"].isin(["Low Risk", "Medium Risk", "High Risk"]).all()
    assert np.isfinite(rows[["Expected_Loss_If_Left", "Expected_Loss_If_Escalated"]]).all(axis=None)
    assert (rows["Score_Origin"] == OUT_OF_FOLD).any()  # overdue, so it was trained on
    closed = scored.export[~is_open]
    assert closed[["Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"]].notna().all(axis=None)


def test_a_ticket_resolved_before_it_was_created_has_no_outcome(trained, raw, tmp_path):
    wrong = {"Created At": "2024-05-06 08:00:00", "Time to Resolution": "2024-05-06 07:00:00"}
    rows = score(trained, read(trained, raw, tmp_path, wrong)).export

    assert rows[["Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"]].isna().all(axis=None)
    assert rows["Pred_Breach_Prob"].notna().all()


def test_scores_are_the_models(trained, scored):
    decided = trained.bundle.decide(trained.tickets)

    assert scored.export["Pred_Breach_Prob"].tolist() == decided[PROBABILITY].tolist()
    assert set(scored.export["Score_Origin"]) == {OUT_OF_FOLD, TEST, NEW}
    in_sample = trained.bundle.model.probability(trained.tickets)
    trained_on = (scored.export["Score_Origin"] == OUT_OF_FOLD).to_numpy()
    differs = scored.export["Pred_Breach_Prob"].to_numpy() != in_sample
    assert differs[trained_on].mean() > 0.9
    assert not differs[~trained_on].any()


def test_rejected_rows_are_told_with_their_reasons(trained, raw, tmp_path):
    tickets = read(
        trained,
        raw,
        tmp_path,
        {"Ticket ID": "A"},
        {"Ticket ID": None},
        {"Ticket ID": "B", "Created At": "soon"},
        {"Ticket ID": "A", "Ticket Channel": "Phone"},
        {"Ticket ID": "B"},
        {"Ticket ID": "B"},
        {"Ticket ID": None, "Date of Purchase": "never"},
    )
    scored = score(trained, tickets)
    rejected = scored.rejected.drop(columns="file").astype(object)

    # of a ticket's good rows the first is scored: row 1 for A, row 5 for B
    assert scored.export["Ticket ID"].tolist() == ["A", "B"]
    assert scored.tickets["source_row"].tolist() == [1, 5]
    assert rejected.where(rejected.notna(), None).to_numpy().tolist() == [
        [2, None, "no_ticket_id", ""],
        [3, "B", "unreadable_date", "column Created At"],
        [4, "A", "duplicate_ticket_id", ""],
        [6, "B", "duplicate_ticket_id", ""],
        [7, None, "no_ticket_id", "column Date of Purchase"],
    ]
    assert set(scored.rejected["file"]) == {str(tmp_path / "tickets.csv")}
    assert scored.rows_in == 7


def test_bad_costs_are_rejected_and_empty_ones_are_not(priced, raw, tmp_path):
    tickets = read(
        priced,
        raw,
        tmp_path,
        {"Lost": "-1"},
        {"Lost": "free"},
        {"Lost": None},
        {"Effort": "inf"},
        {"Lost": "0"},
        {"Effort": None},
    )
    scored = score(priced, tickets)

    assert scored.rejected["row"].tolist() == [1, 2, 4]
    assert scored.rejected["reason"].tolist() == ["bad_cost"] * 3
    assert scored.rejected["detail"].tolist() == ["column Lost", "column Lost", "column Effort"]
    assert np.isfinite(scored.export["Expected_Loss_If_Left"]).all()


def test_a_met_target_costs_nothing_even_without_a_price(priced, raw, tmp_path):
    times = {"Created At": "2024-05-06 08:00:00", "Ticket Priority": "Low", "Lost": None}
    met, late = (times | {"Time to Resolution": f"2024-05-{day}"} for day in ("07", "30"))
    rows = score(priced, read(priced, raw, tmp_path, met, late)).export

    assert rows["Is_SLA_Breach"].tolist() == [False, True]
    assert rows["Breach_Cost"].iloc[0] == 0
    assert np.isnan(rows["Breach_Cost"].iloc[1])  # what was lost is not known


ROW = st.tuples(
    st.sampled_from(["A", "B", "C", "", "=D"]),
    st.sampled_from(["2024-05-06 08:00:00", "soon", ""]),
    st.sampled_from(["5", "-5", "x", ""]),
)


@given(rows=st.lists(ROW, max_size=12))
@settings(max_examples=40, deadline=None)
def test_every_row_is_scored_or_rejected(priced, rows):
    some = priced.tickets.head(len(rows)).copy()
    ids, born, lost = ([row[k] or None for row in rows] for k in range(3))
    some["ticket_id"] = pd.Series(ids, index=some.index, dtype="str")
    some["created_at"] = pd.to_datetime(
        pd.Series(born, index=some.index, dtype="str").replace("soon", None)
    ).astype("M8[us]")
    some["unreadable_dates"] = pd.Series(
        ["Created At" if day == "soon" else "" for day in born], index=some.index, dtype="str"
    )
    some["lost"] = pd.Series(lost, index=some.index, dtype="str")
    scored = score(priced, some)

    assert scored.rows_in == len(rows) == len(scored.export) + len(scored.rejected)
    assert scored.export["Ticket ID"].is_unique
    assert scored.export["Ticket ID"].notna().all()
    assert (scored.rejected["reason"] != "").all()
    good = {
        name for name, day, dollars in rows if name and day != "soon" and dollars not in ("-5", "x")
    }
    assert set(scored.export["Ticket ID"]) == good


def test_the_row_order_of_the_export_is_kept(trained):
    upside_down = trained.tickets[::-1]
    rows = score(trained, upside_down).export

    assert rows["Ticket ID"].tolist() == upside_down["ticket_id"].tolist()
    straight = score(trained).export["Pred_Breach_Prob"]
    assert rows["Pred_Breach_Prob"].to_numpy()[::-1] == pytest.approx(straight, rel=1e-12)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_nothing_but_rejected_rows_still_gives_whole_files(trained, raw, tmp_path, ending):
    nameless = [{"Ticket ID": None}] * 3
    scored = score(trained, read(trained, raw, tmp_path, *nameless))
    output = tmp_path / f"risk.{ending}"
    write_all({rejected_path(output): scored.rejected, output: scored.export})

    back = pd.read_csv(output) if ending == "csv" else pd.read_parquet(output)
    assert back.columns.tolist() == HEADER
    assert back.empty
    assert len(pd.read_csv(rejected_path(output))) == 3


def test_an_empty_rejected_file_still_has_its_header(scored, tmp_path):
    assert scored.rejected.empty
    write_all({tmp_path / "rejected.csv": scored.rejected})

    assert (tmp_path / "rejected.csv").read_text() == ",".join(REJECTED_HEADER) + "\n"


def test_csv_holds_every_digit(scored, tmp_path):
    write_all({tmp_path / "risk.csv": scored.export})
    back = pd.read_csv(tmp_path / "risk.csv", dtype={"Ticket ID": "str"})

    assert back.columns.tolist() == HEADER
    for name in ("Pred_Breach_Prob", "Expected_Loss_If_Left", "Resolution_Hours"):
        pd.testing.assert_series_equal(
            back[name], scored.export[name], check_exact=True, check_dtype=False
        )
    assert set(back["Is_SLA_Breach"].dropna()) == {True, False}
    assert back["Is_SLA_Breach"].isna().sum() == scored.export["Is_SLA_Breach"].isna().sum()


def test_parquet_holds_types(scored, tmp_path):
    write_all({tmp_path / "risk.parquet": scored.export})
    schema = pq.read_schema(tmp_path / "risk.parquet")
    back = pd.read_parquet(tmp_path / "risk.parquet")

    assert schema.names == HEADER
    kinds = {name: str(schema.field(name).type).removeprefix("large_") for name in HEADER}
    numbers = {
        *("Resolution_Hours", "Breach_Cost", "Pred_Breach_Prob"),
        *("Expected_Loss_If_Left", "Expected_Loss_If_Escalated"),
    }
    flags = {"Is_SLA_Breach", "Escalate"}
    for name, kind in kinds.items():
        assert kind == ("double" if name in numbers else "bool" if name in flags else "string")
    assert (back["Pred_Breach_Prob"] == scored.export["Pred_Breach_Prob"]).all()
    assert back["Is_SLA_Breach"].isna().equals(scored.export["Is_SLA_Breach"].isna())


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "+1-5-0"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_formulas_are_neutralised_in_files(tmp_path, text, ending):
    path = tmp_path / f"risk.{ending}"
    write_all({path: pd.DataFrame({"Ticket ID": pd.Series([text, "A-7"], dtype="str")})})
    back = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path, lineterminator="\n")

    assert back["Ticket ID"].tolist() == [f"'{text}", "A-7"]


def test_a_formula_in_an_export_reaches_no_spreadsheet(trained, raw, tmp_path):
    evil = {"Ticket ID": "=HYPERLINK(0)", "Ticket Channel": "@x", "Product Purchased": "+y"}
    scored = score(trained, read(trained, raw, tmp_path, evil, evil))
    output = tmp_path / "risk.csv"
    write_all({rejected_path(output): scored.rejected, output: scored.export})

    for path in (output, rejected_path(output)):
        cells = pd.read_csv(path, dtype="str").fillna("").to_numpy().ravel()
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert scored.rejected["reason"].tolist() == ["duplicate_ticket_id"]


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
    written, write = [], export_module._write

    def fail_at_the_second(frame, path, ending):
        written.append(path)
        if len(written) == 2:
            path.write_text("half")
            raise OSError(28, "No space left on device")
        write(frame, path, ending)

    monkeypatch.setattr(export_module, "_write", fail_at_the_second)
    with pytest.raises(InputError, match=r"risk\.csv: cannot be written \(No space left"):
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
    with pytest.raises(InputError, match=r"risk\.csv: is a folder"):
        write_all({tmp_path / "rejected.csv": TABLE, tmp_path / "risk.csv": TABLE})

    assert left_behind(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match=r"risk\.csv: cannot be written"):
        write_all({tmp_path / "a.csv": TABLE, tmp_path / "file" / "risk.csv": TABLE})

    assert left_behind(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match=r"cannot be written \(Permission denied\)"):
            write_all({tmp_path / "risk.csv": TABLE})
    finally:
        tmp_path.chmod(0o700)


def test_imputed_exports_have_the_dates_of_training(imputed):
    rows = score(imputed).export.set_index("Ticket ID")
    dates = imputed.training.set_index("ticket_id")["created_at"].dt.strftime("%Y-%m-%d")

    assert (rows["Ticket_Date"].loc[dates.index] == dates).all()
    assert rows["Pred_Breach_Prob"].notna().all()


def test_a_fall_back_price_serves_a_priority_that_training_did_not_know(trained, raw, tmp_path):
    odd = {"Ticket ID": "A-1", "Ticket Priority": "Cosmic"}
    row = score(trained, read(trained, raw, tmp_path, odd)).export.iloc[0]
    mean = trained.training["breach_cost"].mean()

    assert row["Expected_Loss_If_Left"] == pytest.approx(mean * row["Pred_Breach_Prob"])
    assert pd.isna(row["Is_SLA_Breach"])  # without a target nothing is late
    assert pd.isna(row["Breach_Cost"])


def test_the_notebooks_export_says_that_it_is_in_sample(trained):
    manifest = trained.bundle.manifest
    tickets = prepare_tickets(manifest.data, manifest.sla, manifest.cost).frame
    frame = notebook_export(trained.bundle, tickets)

    twice = [*HEADER[:9], "Breach_Cost", "Pred_Breach_Prob", "Risk_Bucket", "Score_Origin"]
    assert frame.columns.tolist() == twice
    assert set(frame["Score_Origin"]) == {"in_sample", TEST, NEW}
    assert (frame["Pred_Breach_Prob"] == trained.bundle.model.probability(tickets)).all()
    dates = pd.to_datetime(frame["Ticket_Date"])
    assert dates.between("2023-01-01", "2023-03-31").all()


def test_the_notebooks_export_can_be_written(trained, tmp_path):
    frame = notebook_export(trained.bundle, trained.training).head(2)
    write_all({tmp_path / "risk.csv": frame})

    header = (tmp_path / "risk.csv").read_text().splitlines()[0].split(",")
    assert header.count("Breach_Cost") == 2
