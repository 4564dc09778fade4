"""What is scored is measured by the clock of the model."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from slarisk.config import Clock, EventLog, Pause, Week
from slarisk.errors import InputError
from slarisk.learning.features import make_features
from slarisk.scoring.stream import score_stream
from slarisk.scoring.task import Task
from slarisk.tickets.contract import take_facts
from slarisk.tickets.prepare import prepare_tickets

BERLIN = ("clock=business_hours", "data.timezone=Europe/Berlin", "features=calendar")


@pytest.fixture
def score(tmp_path):
    """Scores an export with a bundle under another manifest."""

    def run(made, source: Path, **changes):
        bundle = replace(made.bundle, manifest=replace(made.bundle.manifest, **changes))
        task = Task(
            bundle=bundle,
            decision=bundle.manifest.decision,
            source=str(source),
            output=tmp_path / "risk.csv",
            rejected=tmp_path / "rejected.csv",
            version="1",
            scored_at="now",
        )
        summary = score_stream(task)
        export = pd.read_csv(task.output, dtype={"Ticket ID": "str"}).set_index("Ticket ID")
        return SimpleNamespace(
            export=export, summary=summary, rejected=pd.read_csv(tmp_path / "rejected.csv")
        )

    return run


def test_outcomes_and_days_of_the_export_are_those_of_the_desk(train, score):
    made = train(*BERLIN)
    scored = score(made, made.config.data.path)
    frame = made.labelled.frame.set_index("ticket_id")
    resolved = frame.index[frame["resolved_at"].notna()]
    of_export, of_label = scored.export.loc[resolved], frame.loc[resolved]
    assert np.allclose(of_export["Resolution_Hours"], of_label["resolution_hours"])
    assert (of_export["Is_SLA_Breach"].astype(bool) == of_label["breach"]).all()
    raw = pd.read_csv(made.config.data.path, dtype="str").set_index("Ticket ID")
    assert scored.export["Ticket_Date"].equals(raw["Created At"].str[:10].rename("Ticket_Date"))
    in_utc = frame["created_at"].dt.strftime("%Y-%m-%d")
    assert (in_utc != raw.loc[frame.index, "Created At"].str[:10]).any()


def test_hours_weekdays_and_days_of_a_model_are_those_of_the_desk(train):
    made = train(*BERLIN)
    raw = pd.read_csv(made.config.data.path, dtype="str").set_index("Ticket ID")
    created = pd.to_datetime(raw["Created At"])
    frame = made.labelled.frame
    mine = created.loc[frame["ticket_id"]]
    features = make_features(frame, made.bundle.manifest.features)
    told = np.arctan2(features["hour_sin"], features["hour_cos"]) / (2 * np.pi) * 24 % 24
    meant = (mine.dt.hour + mine.dt.minute / 60).to_numpy()
    assert np.abs((told - meant + 12) % 24 - 12).max() < 1e-6
    days = take_facts(frame, made.config.data).day
    assert (days == mine.to_numpy().astype("datetime64[D]").astype(np.int64)).all()


def test_local_times_in_doubt_are_counted(train, score, tmp_path):
    made = train(*BERLIN)
    raw = pd.read_csv(made.config.data.path, dtype="str")
    raw.loc[:1, "Created At"] = ["2025-03-30 02:15:00", "2025-10-26 02:15:00"]
    raw.loc[:1, "Time to Resolution"] = ["2025-03-30 05:15:00", "2025-10-26 02:45:00"]
    raw.to_csv(tmp_path / "new.csv", index=False)
    before = score(made, made.config.data.path).summary.times
    after = score(made, tmp_path / "new.csv").summary.times
    assert (after - before).total() >= 3
    assert after["times_that_do_not_occur"] > before["times_that_do_not_occur"]


def test_offsets_need_a_time_zone_of_the_working_hours(train, score, tmp_path):
    made = train("clock=business_hours")
    raw = pd.read_csv(made.config.data.path, dtype="str")
    raw["Created At"] += "+00:00"
    raw.to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(InputError, match="carry an offset"):
        score(made, tmp_path / "new.csv")


@pytest.fixture
def log(trained, raw, tmp_path):
    """An event log of the export, in which tickets wait, and its policies."""
    rng = np.random.default_rng(5)
    created = pd.to_datetime(raw["Created At"])
    events = []
    for number, status in enumerate(["Open", "Waiting", "Open", "Waiting"], 1):
        at = created + pd.to_timedelta(number * rng.integers(0, 36_000, len(raw)), unit="s")
        at = created if number == 1 else at
        part = raw.assign(Step=str(number), Changed=at.astype("str"), **{"Ticket Status": status})
        events.append(part[rng.random(len(raw)) < (1 if number == 1 else 0.6)])
    table = pd.concat(events).sample(frac=1, random_state=3)
    table.to_csv(tmp_path / "log.csv", index=False)
    manifest = trained.bundle.manifest
    data = replace(
        manifest.data,
        path=str(tmp_path / "log.csv"),
        events=EventLog("changed_at"),
        columns=manifest.data.columns | {"changed_at": "Changed"},
        dates=[*manifest.data.dates, "changed_at"],
    )
    office = ["08:00-18:00"]
    sla = replace(
        manifest.sla,
        pause=Pause(statuses=["Waiting"], changed_at="changed_at"),
        clock=Clock(name="office", week=Week(office, office, office, office, office)),
    )
    return SimpleNamespace(data=data, sla=sla, cost=manifest.cost, table=table)


@pytest.mark.slow
def test_pauses_of_an_event_log_count_in_scoring_as_in_training(trained, score, log):
    frame = prepare_tickets(log.data, log.sla, log.cost).frame.set_index("ticket_id")
    scored = score(trained, log.data.path, data=log.data, sla=log.sla)
    resolved = frame.index[frame["resolved_at"].notna()]
    hours = scored.export.loc[resolved, "Resolution_Hours"]
    assert np.allclose(hours, frame.loc[resolved, "resolution_hours"])
    unpaused = replace(log.sla, pause=Pause())
    without = score(trained, log.data.path, data=log.data, sla=unpaused).export.loc[resolved]
    assert (without["Resolution_Hours"] > hours + 0.5).mean() > 0.2


def test_an_event_without_a_date_is_rejected(trained, score, log, tmp_path):
    data = replace(log.data, events=EventLog("step"), path=str(tmp_path / "spoilt.csv"))
    data.columns = data.columns | {"step": "Step"}
    table = log.table.reset_index(drop=True)
    table.loc[7, "Changed"] = "later"
    table.to_csv(data.path, index=False)
    scored = score(trained, data.path, data=data, sla=log.sla)
    assert scored.rejected[["row", "reason", "detail"]].to_numpy().tolist() == [
        [8, "unreadable_event_date", "column Changed"]
    ]
    assert scored.summary.rows_in == len(table)


def test_a_pause_that_is_no_time_is_rejected(trained, raw, score, tmp_path):
    manifest = trained.bundle.manifest
    raw.assign(Held=["-1", "half", *["30"] * (len(raw) - 2)]).to_csv(
        tmp_path / "new.csv", index=False
    )
    data = replace(manifest.data, columns=manifest.data.columns | {"held": "Held"})
    sla = replace(manifest.sla, pause=Pause(minutes="held"))
    scored = score(trained, tmp_path / "new.csv", data=data, sla=sla)
    assert scored.rejected["reason"].tolist() == ["bad_pause", "bad_pause"]
    plain = score(trained, tmp_path / "new.csv", data=data).export["Resolution_Hours"]
    paused = scored.export["Resolution_Hours"].dropna()
    assert np.allclose((plain.loc[paused.index] - 0.5).clip(0), paused)


def test_an_export_without_the_pauses_is_refused(trained, raw, score, tmp_path):
    manifest = trained.bundle.manifest
    raw.to_csv(tmp_path / "new.csv", index=False)
    data = replace(manifest.data, columns=manifest.data.columns | {"held": "Held"})
    with pytest.raises(InputError, match="Held"):
        score(
            trained,
            tmp_path / "new.csv",
            data=data,
            sla=replace(manifest.sla, pause=Pause(minutes="held")),
        )
