import gzip
import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from slarisk import atomic_files
from slarisk.config import Decision, DecisionKind, EventLog, LabelKind
from slarisk.errors import InputError
from slarisk.exports import read as read_module
from slarisk.scoring import spool, stream
from slarisk.scoring.output_files import rejected_path
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task

EVENT_COLUMNS = ["Ticket ID", "Created At", "Ticket Priority", "Ticket Channel", "Ticket Type"]


@pytest.fixture
def score(tmp_path):
    """Scores a source into a folder; gives what was written, and the summary."""

    def run(made, source, output="risk.csv", **changes):
        path = None if output is None else tmp_path / output
        rejected = rejected_path(path or tmp_path / "stdout.csv")
        task = Task(
            bundle=made.bundle,
            decision=made.bundle.manifest.decision,
            source=str(source),
            output=path,
            rejected=rejected,
            version="1",
            scored_at="now",
        )
        summary = score_stream(replace(task, **changes))
        export = pd.read_csv(path, dtype={"Ticket ID": "str"}) if path else None
        wrong = pd.read_csv(rejected, dtype={"Ticket ID": "str"})
        return SimpleNamespace(export=export, rejected=wrong, summary=summary)

    return run


@pytest.fixture
def small_parts(monkeypatch):
    """Cuts everything into parts of a few rows."""
    monkeypatch.setattr(read_module, "PART_BYTES", 3000)
    monkeypatch.setattr(read_module, "PART_ROWS", 37)
    monkeypatch.setattr(stream, "WINDOW", 53)


def lay_files(raw, folder):
    """An export in two files, with repeated ids, wrong rows and quoted newlines."""
    table = raw.copy()
    table["Ticket Subject"] = "line one\nline two, " + table["Ticket Subject"]
    table.loc[[10, 700, 990], "Ticket ID"] = "twice"
    table.loc[[20, 600], "Created At"] = "soon"
    folder.mkdir()
    table.iloc[:400].to_csv(folder / "a.csv", index=False)
    table.iloc[400:].to_csv(folder / "b.csv", index=False)
    lines = (folder / "b.csv").read_text().splitlines(keepends=True)
    lines.insert(1, "too,few\n")
    lines.insert(2, '"never closed,Phone\n')
    (folder / "b.csv").write_text("".join(lines))
    return folder


@pytest.mark.parametrize("model", ["lr", "gbm"])
@pytest.mark.slow
def test_the_size_of_parts_does_not_matter(train, raw, score, tmp_path, monkeypatch, model):
    made = train("features=customer", model=model)
    folder = lay_files(raw, tmp_path / "in")
    whole = score(made, folder)
    monkeypatch.setattr(read_module, "PART_BYTES", 3000)
    monkeypatch.setattr(stream, "WINDOW", 53)
    parts = score(made, folder, "parts.csv")

    pd.testing.assert_frame_equal(parts.export, whole.export)
    pd.testing.assert_frame_equal(parts.rejected, whole.rejected)
    assert parts.summary.rejected == whole.summary.rejected
    assert parts.summary.acted == pytest.approx(whole.summary.acted, rel=1e-12)
    assert {name: counts.tolist() for name, counts in parts.summary.bins.items()} == {
        name: counts.tolist() for name, counts in whole.summary.bins.items()
    }


@pytest.mark.slow
def test_rejected_rows_name_file_row_and_line(trained, raw, score, tmp_path, small_parts):
    folder = lay_files(raw, tmp_path / "in")
    scored = score(trained, folder)
    rows = scored.rejected.set_index("reason")

    assert scored.summary.rows_in == 1002 == scored.summary.scored + len(scored.rejected)
    assert scored.summary.rejected == scored.rejected["reason"].value_counts().to_dict()
    a, b = (str(folder / name) for name in ("a.csv", "b.csv"))
    place = ["file", "row", "line"]
    assert rows.loc["wrong_number_of_fields", place].tolist() == [b, 1, 2]
    assert "2" in rows.loc["wrong_number_of_fields", "detail"]
    assert rows.loc["broken_quote", place].tolist() == [b, 2, 3]
    assert rows.loc["unreadable_date", place].to_numpy().tolist() == [
        [a, 21, 42],  # each ticket takes two lines
        [b, 203, 404],
    ]
    repeated = rows.loc["duplicate_ticket_id"]
    assert repeated[place].to_numpy().tolist() == [[b, 303, 604], [b, 593, 1184]]
    first = scored.export.query("`Ticket ID` == 'twice'")
    assert len(first) == 1


@pytest.mark.slow
def test_the_order_of_rows_does_not_matter(trained, raw, score, tmp_path, small_parts):
    raw.to_csv(tmp_path / "straight.csv", index=False)
    raw.sample(frac=1, random_state=1).to_csv(tmp_path / "mixed.csv", index=False)
    for decision in (Decision(DecisionKind.per_ticket), Decision(DecisionKind.capacity, 2)):
        straight = score(trained, tmp_path / "straight.csv", decision=decision)
        mixed = score(trained, tmp_path / "mixed.csv", "mixed-risk.csv", decision=decision)
        by_id = mixed.export.set_index("Ticket ID").loc[raw["Ticket ID"]].reset_index()
        pd.testing.assert_frame_equal(by_id, straight.export)


@pytest.mark.slow
def test_capacity_picks_the_days_most_valuable(trained, raw, score, small_parts):
    free = score(trained, trained.config.data.path).export
    scored = score(trained, trained.config.data.path, decision=Decision(DecisionKind.capacity, 3))
    export = scored.export
    saving = export["Expected_Loss_If_Left"] - export["Expected_Loss_If_Escalated"]
    per_day = export["Escalate"].groupby(export["Ticket_Date"]).sum()

    assert per_day.max() == 3
    assert scored.summary.escalated == export["Escalate"].sum() < free["Escalate"].sum()
    for day, rows in export.groupby("Ticket_Date"):
        taken = saving[rows.index][rows["Escalate"]]
        left = saving[rows.index][~rows["Escalate"] & (saving[rows.index] > 0)]
        assert len(left) == 0 or per_day[day] == 3
        assert len(left) == 0 or taken.min() >= left.max()
    assert not export["Escalate"][~free["Escalate"]].any()
    acted = export["Expected_Loss_If_Escalated"].where(
        export["Escalate"], export["Expected_Loss_If_Left"]
    )
    assert scored.summary.acted == pytest.approx(acted.sum())


def pack_gzip(text):
    return gzip.compress(text)


def pack_parquet(text):
    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(text), dtype="str").to_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [bytes, pack_gzip, pack_parquet])
def test_standard_input_and_output(trained, score, monkeypatch, capfdbinary, pack):
    text = Path(trained.config.data.path).read_bytes()
    expected = score(trained, trained.config.data.path).export
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(pack(text))))
    )
    scored = score(trained, "-", output=None)
    written = pd.read_csv(io.BytesIO(capfdbinary.readouterr().out), dtype={"Ticket ID": "str"})

    pd.testing.assert_frame_equal(written, expected)
    assert scored.summary.scored == len(expected)


def test_too_many_rejected_rows_leave_all_as_it_was(trained, raw, score, tmp_path):
    raw.assign(**{"Created At": ["soon"] * 600 + ["2024-05-01 08:00"] * 400}).to_csv(
        tmp_path / "in.csv", index=False
    )
    (tmp_path / "risk.csv").write_text("old")
    with pytest.raises(InputError, match=r"600 of 1,000 .*60\.0%.*unreadable_date: 600"):
        score(trained, tmp_path / "in.csv", max_rejected=0.5)

    assert (tmp_path / "risk.csv").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["in.csv", "risk.csv"]
    assert score(trained, tmp_path / "in.csv", max_rejected=0.6).summary.scored == 400


@pytest.mark.parametrize(("owner", "name"), [(spool.Spool, "write"), (stream, "open_rejected")])
def test_a_full_disk_leaves_the_old_export(trained, score, tmp_path, monkeypatch, owner, name):
    (tmp_path / "risk.csv").write_text("old")

    def fill(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, name, fill)
    with pytest.raises(InputError, match=r"risk\.csv.*No space left on device"):
        score(trained, trained.config.data.path)
    assert (tmp_path / "risk.csv").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["risk.csv"]


def test_an_interruption_leaves_the_old_export(trained, score, tmp_path, monkeypatch):
    (tmp_path / "risk.csv").write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic_files, "_rename_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        score(trained, trained.config.data.path)
    assert (tmp_path / "risk.csv").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["risk.csv"]


def test_what_a_killed_run_left_is_cleared_away_and_what_a_living_one_needs_is_not(
    trained, score, tmp_path
):
    with spool.open_spool_folder(tmp_path / "risk.csv") as living:
        dead = tmp_path / ".risk.csv.spool-dead"
        dead.mkdir()
        (dead / "lock").touch()
        (dead / "tickets").write_text("many")
        score(trained, trained.config.data.path)
        assert living.exists()
        assert not dead.exists()


@pytest.mark.slow
def test_an_event_log_of_any_length(train, raw, score, tmp_path, monkeypatch, small_parts):
    made = train()
    manifest = made.bundle.manifest
    data = replace(
        manifest.data,
        events=EventLog("step"),
        columns=manifest.data.columns | {"step": "Step"},
    )
    bundle = replace(made.bundle, manifest=replace(manifest, data=data))
    made = SimpleNamespace(bundle=bundle, config=made.config)
    first = raw.assign(Step="1")
    last = raw.assign(Step="2", **{"Time to Resolution": None, "Ticket Channel": "Changed"})
    events = pd.concat([first, last, raw.head(1).assign(Step="soon")])
    events = events.sample(frac=1, random_state=3)
    events.to_csv(tmp_path / "log.csv", index=False)
    scored = score(made, tmp_path / "log.csv")

    assert scored.export["Ticket ID"].tolist() == events["Ticket ID"].drop_duplicates().tolist()
    assert set(scored.export["Ticket Channel"]) == set(raw["Ticket Channel"])  # known at creation
    assert scored.export["Is_SLA_Breach"].isna().all()  # the last event says it is open again
    assert scored.rejected["reason"].tolist() == ["unreadable_event_order"]
    assert scored.summary.rows_in == 2001


def test_only_needed_columns_are_parsed(trained, raw, score, tmp_path):
    noisy = raw.assign(**{"First Response Time": "whenever", "Date of Purchase": "=1+1"})
    noisy["Notes"] = "x" * 50
    noisy[noisy.columns[::-1]].to_csv(tmp_path / "noisy.csv", index=False, encoding="utf-8-sig")
    scored = score(trained, tmp_path / "noisy.csv")

    assert scored.rejected["reason"].tolist() == []
    expected = score(trained, trained.config.data.path, "plain.csv").export
    pd.testing.assert_frame_equal(scored.export, expected)


def test_drift_is_none_on_the_training_tickets_and_shows_on_others(trained, raw, score, tmp_path):
    same = score(trained, trained.config.data.path).summary.measure_drift(
        trained.bundle.manifest.profile
    )
    assert same["psi"].max() < 0.05
    assert set(same["band"]) == {"stable"}

    raw.assign(**{"Ticket Channel": "Pigeon"}).to_csv(tmp_path / "pigeons.csv", index=False)
    other = score(trained, tmp_path / "pigeons.csv").summary
    drift = other.measure_drift(trained.bundle.manifest.profile).set_index("feature")
    assert drift.index[0] == "channel"
    assert drift.loc["channel", "band"] == "major"
    assert drift.loc["priority", "psi"] == same.set_index("feature").loc["priority", "psi"]
    assert other.unseen == {"channel": 1000}


def test_a_model_without_a_profile_has_no_drift(trained, score):
    manifest = replace(trained.bundle.manifest, profile={})
    made = SimpleNamespace(bundle=replace(trained.bundle, manifest=manifest))
    summary = score(made, trained.config.data.path).summary
    assert summary.measure_drift(made.bundle.manifest.profile).empty


def test_numbers_of_a_dense_model_do_not_depend_on_the_rows_beside(train, raw, score, tmp_path):
    """Features without categories make a dense matrix, whose product depends on its rows."""
    numbers = ["features.categorical=[]", "features.numeric=[customer_age]"]
    made = train("features=customer", *numbers, model="lr")
    raw.to_csv(tmp_path / "all.csv", index=False)
    raw.iloc[3:10].to_csv(tmp_path / "some.csv", index=False)
    whole = score(made, tmp_path / "all.csv").export.iloc[3:10].reset_index(drop=True)
    some = score(made, tmp_path / "some.csv").export
    assert (some["Pred_Breach_Prob"] == whole["Pred_Breach_Prob"]).all()
    assert np.isfinite(some["Pred_Breach_Prob"]).all()


def test_a_label_of_its_own_needs_no_more_than_its_column(train, raw, score, tmp_path):
    labelled = raw.assign(Made=["true", "false", ""] * 333 + ["true"], Closed="2024-12-31 00:00:00")
    labelled.to_csv(tmp_path / "labelled.csv", index=False)
    made = train()
    manifest = made.bundle.manifest
    data = replace(
        manifest.data,
        columns=manifest.data.columns | {"made": "Made", "closed_at": "Closed"},
        dates=[*manifest.data.dates, "closed_at"],
        label=replace(
            manifest.data.label,
            kind=LabelKind.column,
            column="made",
            breach_value="false",
            known_at="closed_at",
        ),
    )
    bundle = replace(made.bundle, manifest=replace(manifest, data=data))
    export = score(SimpleNamespace(bundle=bundle), tmp_path / "labelled.csv").export
    resolved = raw["Time to Resolution"].notna().to_numpy()
    told = export["Is_SLA_Breach"][resolved].map({True: "false", False: "true"}).fillna("")
    assert told.tolist() == labelled["Made"][resolved].tolist()
    assert export["Is_SLA_Breach"][~resolved].isna().all()
