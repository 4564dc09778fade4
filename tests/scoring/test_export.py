import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slarisk.model.bundle import PROBABILITY
from slarisk.model.seen_tickets import NEW, OUT_OF_FOLD, TEST
from slarisk.scoring.export import notebook_export
from slarisk.scoring.output_files import rejected_path, write_all
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
from slarisk.tickets.prepare import prepare_tickets

# Written out here and not imported: dashboards read these names in this order.
HEADER = [
    *("Ticket ID", "Ticket_Date", "Ticket Priority", "Ticket Channel", "Ticket Type"),
    *("Product Purchased", "Resolution_Hours", "Is_SLA_Breach", "Breach_Cost"),
    *("Pred_Breach_Prob", "Risk_Bucket", "Escalate", "Expected_Loss_If_Left"),
    *("Expected_Loss_If_Escalated", "Score_Origin", "Model_Version", "Scored_At"),
    *("State", "Age_Hours", "Hours_Left", "Escalate_At"),
]
REJECTED_HEADER = ["file", "row", "line", "Ticket ID", "reason", "detail"]
NOW = "2025-01-01T00:00:00+00:00"


def score(made, source=None, ending="parquet", **task):
    """Scores an export (a file, or a table of raw rows) through files of its own."""
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(source, pd.DataFrame):
            source.to_csv(f"{folder}/tickets.csv", index=False)
            source = f"{folder}/tickets.csv"
        output = Path(folder) / f"risk.{ending}"
        summary = score_stream(
            Task(
                bundle=made.bundle,
                decision=made.bundle.manifest.decision,
                source=str(source or made.config.data.path),
                output=output,
                rejected=rejected_path(output),
                version="3",
                scored_at=NOW,
                **task,
            )
        )
        text = {"Ticket ID": "str", "Model_Version": "str"}
        table = pd.read_csv(output, dtype=text) if ending == "csv" else pd.read_parquet(output)
        rejected = pd.read_csv(rejected_path(output), dtype={"Ticket ID": "str"})
        return SimpleNamespace(
            export=table,
            rejected=rejected.assign(detail=rejected["detail"].astype("str").fillna("")),
            summary=summary,
            text=output.read_bytes(),
            schema=pq.read_schema(output) if ending == "parquet" else None,
        )


def read(made, raw, folder, *rows):
    """Writes an export of some rows: each a dict of what differs from the first rows of raw."""
    table = raw.head(len(rows)).copy()
    for position, changes in enumerate(rows):
        for column, value in changes.items():
            table.loc[position, column] = value
    table.to_csv(folder / "tickets.csv", index=False)
    return folder / "tickets.csv"


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
        {"Ticket ID": None, "Time to Resolution": "never"},
    )
    scored = score(trained, tickets)
    rejected = scored.rejected.drop(columns=["file", "line"]).astype(object)

    # of a ticket's good rows the first is scored: row 1 for A, row 5 for B
    assert scored.export["Ticket ID"].tolist() == ["A", "B"]
    assert scored.rejected["line"].tolist() == [3, 4, 8, 5, 7]  # the header is line 1
    assert rejected.where(rejected.notna(), None).to_numpy().tolist() == [
        [2, None, "no_ticket_id", ""],
        [3, "B", "unreadable_date", "column Created At"],
        [7, None, "no_ticket_id", "column Time to Resolution"],
        [4, "A", "duplicate_ticket_id", ""],
        [6, "B", "duplicate_ticket_id", ""],
    ]
    assert set(scored.rejected["file"]) == {str(tmp_path / "tickets.csv")}
    assert scored.summary.rows_in == 7
    assert scored.summary.rejected == {
        "no_ticket_id": 2,
        "unreadable_date": 1,
        "duplicate_ticket_id": 2,
    }


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


@given(rows=st.lists(ROW, min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
@pytest.mark.slow
def test_every_row_is_scored_or_rejected(priced, raw, rows):
    some = raw.head(len(rows)).copy()
    some[["Ticket ID", "Created At", "Lost"]] = rows
    scored = score(priced, some)

    assert scored.summary.rows_in == len(rows) == len(scored.export) + len(scored.rejected)
    assert scored.export["Ticket ID"].is_unique
    assert scored.export["Ticket ID"].notna().all()
    assert (scored.rejected["reason"] != "").all()
    good = {
        name.replace("=", "'=")
        for name, day, dollars in rows
        if name and day != "soon" and dollars not in ("-5", "x")
    }
    assert set(scored.export["Ticket ID"]) == good


def test_the_row_order_of_the_export_is_kept(trained, raw, scored):
    rows = score(trained, raw[::-1]).export

    assert rows["Ticket ID"].tolist() == raw["Ticket ID"].tolist()[::-1]
    pd.testing.assert_frame_equal(rows[::-1].reset_index(drop=True), scored.export)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_nothing_but_rejected_rows_still_gives_whole_files(trained, raw, tmp_path, ending):
    nameless = [{"Ticket ID": None}] * 3
    scored = score(trained, read(trained, raw, tmp_path, *nameless), ending)

    assert scored.export.columns.tolist() == HEADER
    assert scored.export.empty
    assert len(scored.rejected) == 3


def test_csv_holds_every_digit(trained, scored):
    back = score(trained, ending="csv").export

    assert back.columns.tolist() == HEADER
    for name in ("Pred_Breach_Prob", "Expected_Loss_If_Left", "Resolution_Hours"):
        pd.testing.assert_series_equal(
            back[name], scored.export[name], check_exact=True, check_dtype=False
        )
    assert set(back["Is_SLA_Breach"].dropna()) == {True, False}
    assert back["Is_SLA_Breach"].isna().sum() == scored.export["Is_SLA_Breach"].isna().sum()


def test_parquet_holds_types(scored):
    assert scored.schema.names == HEADER
    kinds = {name: str(scored.schema.field(name).type) for name in HEADER}
    numbers = {
        *("Resolution_Hours", "Breach_Cost", "Pred_Breach_Prob"),
        *("Expected_Loss_If_Left", "Expected_Loss_If_Escalated", "Age_Hours", "Hours_Left"),
    }
    flags = {"Is_SLA_Breach", "Escalate"}
    for name, kind in kinds.items():
        expected = "double" if name in numbers else "bool" if name in flags else "string"
        assert kind.removeprefix("large_") == expected


def test_a_formula_in_an_export_reaches_no_spreadsheet(trained, raw, tmp_path):
    evil = {"Ticket ID": "=HYPERLINK(0)", "Ticket Channel": "@x", "Product Purchased": "+y"}
    scored = score(trained, read(trained, raw, tmp_path, evil, evil), "csv")

    for table in (scored.export, scored.rejected):
        cells = table.astype("str").fillna("").to_numpy().ravel()
        assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert scored.rejected["reason"].tolist() == ["duplicate_ticket_id"]


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
