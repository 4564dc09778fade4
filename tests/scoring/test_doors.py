"""The same tickets get the same decisions by every way in, also where most of them tie.

Spark's engine is compared with the local one in ``spark/test_engine.py``.
"""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from slarisk.tickets.prepare import prepare_tickets

FEW = ["features.categorical=[priority,channel]", "features.numeric=[]", "features.calendar=[]"]
RATIONED = ["decision=capacity", "decision.per_day=5"]


@pytest.fixture
def tied(place, write_tickets):
    """60 tickets a day in nine kinds, created at one of four hours, in no order."""
    table = pd.read_csv(write_tickets(place / "tickets.csv"), dtype="str")
    took = pd.to_datetime(table["Time to Resolution"]) - pd.to_datetime(table["Created At"])
    hours = 24 * (np.arange(len(table)) // 60) + 6 * np.random.default_rng(1).integers(4, size=600)
    again = pd.Timestamp("2024-01-01") + pd.to_timedelta(pd.Series(hours), unit="h")
    table["Created At"] = table["First Response Time"] = again.astype("str")
    table["Time to Resolution"] = (again + took).astype("str")
    table = table.sample(frac=1, random_state=2)
    table.to_csv(place / "tickets.csv", index=False)
    return table


def newest_run():
    return MlflowClient().search_runs(["1"], order_by=["attributes.start_time DESC"])[0]


def test_every_door_decides_alike(tied, train_on, run, composed):
    train_on(*FEW, *RATIONED)
    trained = newest_run()
    model = mlflow.pyfunc.load_model(f"runs:/{trained.info.run_id}/model")
    raw = tied.assign(**{"Customer Age": tied["Customer Age"].astype(float)})
    raw = raw[[each for each in model.metadata.signature.inputs.input_names() if each in raw]]

    def decide(rows):
        said = model.predict(rows)
        return said.set_axis(tied.loc[rows.index, "Ticket ID"]).sort_index()

    straight = decide(raw)
    escalated = straight["escalate"]
    saved = straight["expected_loss_if_left"] - straight["expected_loss_if_escalated"]
    pays = (saved > 0).sum()
    assert 0 < escalated.sum() < pays
    assert saved[saved > 0].nunique() < pays / 10  # so most tickets tie
    for other in (raw[::-1], raw.sample(frac=1, random_state=3)):
        assert decide(other)["escalate"].equals(escalated)

    ended = run("score", f"run_id={trained.info.run_id}", "input=tickets.csv", "output=risk.csv")
    assert ended.code == 0
    assert pd.read_csv("risk.csv", index_col="Ticket ID")["Escalate"].sort_index().tolist() == (
        escalated.tolist()
    )

    # the test tickets alone, in another order than training had them in
    tested = (straight["score_origin"] == "test")[tied["Ticket ID"]].to_numpy()
    alone = decide(raw[tested][::-1])["escalate"]
    config = composed("data.path=tickets.csv", "cost.effect=fading")
    tickets = prepare_tickets(config.data, config.sla, config.cost)
    rows = pd.Index(tickets.frame["ticket_id"]).get_indexer(alone.index)
    breach = tickets.frame["breach"].to_numpy()[rows]
    losses = tickets.costs.take(rows).losses(breach, alone.to_numpy())
    assert losses.sum() == trained.data.metrics["expected_loss"]
