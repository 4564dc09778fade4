import inspect

import pytest

from slarisk.config import CostPolicy, DataPolicy, Decision, FeatureSet, SlaPolicy
from slarisk.learning.calibration import Calibrator
from slarisk.model.inputs import list_inputs, make_example
from slarisk.model.manifest import Manifest
from slarisk.model.pyfunc import DecisionModel

FIELDS = {
    "ticket_id": "Id",
    "created_at": "Created",
    "priority": "Prio",
    "owner": "Owner",
    "age": "Age",
    "note": "Note",
    "bought_at": "Bought",
    "lost": "Lost",
    "effort": "Effort",
    "status": "Status",
}


def describe(costs=None, **data):
    policy = DataPolicy(
        name="x", path="none.csv", columns=FIELDS, dates=["bought_at"], date_formats=["%d/%m/%Y"]
    )
    policy.costs.breach, policy.costs.escalation = costs or (None, None)
    for name, value in data.items():
        setattr(policy, name, value)
    return Manifest(
        data=policy,
        sla=SlaPolicy(name="x", targets={"P1": 4.0}, costs={"P1": 50.0}),
        cost=CostPolicy(name="x", escalation_cost=2.0, charged=0.0, effectiveness=1.0),
        features=FeatureSet(
            name="x",
            categorical=["owner"],
            numeric=["age"],
            calendar=["hour"],
            days_since=["bought_at"],
            text=["note", "owner"],
        ),
        decision=Decision(name="per_ticket"),
        calibrator=Calibrator(),
        threshold=0.5,
        fallback_cost=1.0,
        model_name="lr",
    )


def test_the_example_is_made_of_the_policies_alone():
    assert list(inspect.signature(make_example).parameters) == ["manifest"]
    example = make_example(describe()).iloc[0].to_dict()

    assert example == {
        "Owner": "Unknown",
        "Note": "Cannot log in since this morning",
        "Age": 0.0,
        "Created": "08/01/2024",
        "Bought": "08/01/2024",
        "Prio": "P1",
        "Id": "1",
    }


def test_each_part_that_a_field_plays_has_its_example():
    priced = make_example(describe(costs=("lost", "effort"))).iloc[0]
    raw = make_example(describe(values={"priority": {"1 - Critical": "P1"}})).iloc[0]

    assert (priced["Lost"], priced["Effort"]) == (100.0, 100.0)
    assert raw["Prio"] == "1 - Critical"


def test_the_inputs_say_what_is_a_number_and_what_may_be_left_out():
    inputs = list_inputs(describe(costs=("lost", None)))

    assert {each.field for each in inputs if each.number} == {"age", "lost"}
    assert [each.field for each in inputs if not each.required] == ["ticket_id"]
    assert {each.field for each in inputs} == {*FIELDS} - {"priority", "effort", "status"}


@pytest.mark.parametrize("features", ["notebook", "customer", "text"])
def test_the_example_is_decided_about(train, features):
    bundle = train(f"features={features}").bundle
    (decided,) = DecisionModel(bundle).predict(make_example(bundle.manifest)).to_dict("records")

    assert 0 <= decided["breach_probability"] <= 1
    assert decided["score_origin"] == "new"
