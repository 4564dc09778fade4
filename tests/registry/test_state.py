import json
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient

from slarisk.config import Tracking
from slarisk.errors import InputError
from slarisk.registry.state import Change, RegistryState, fetch_state, format_time
from slarisk.tracking.store import open_store

NAME = "sla-breach-risk"


def change(number, action, old, new, done=True):
    return Change(number, action, new, old, "2026-01-01T00:00:00+00:00", "", "me", done)


def make_state(*moves, versions="123456"):
    there = tuple(SimpleNamespace(number=number, tags={}) for number in versions)
    return RegistryState(True, there[-1], None, there, moves, frozenset())


def test_before_a_version_comes_who_was_in_charge_when_it_first_was():
    state = make_state(
        change(1, "promoted", None, "1"),
        change(2, "promoted", "1", "2"),
        change(3, "rolled back", "2", "1"),
        change(4, "promoted", "1", "3"),
        change(5, "moved by hand", "3", "2"),
        change(6, "promoted", "2", "4"),
        change(7, "promoted", "4", "5", done=False),
    )
    assert [state.find_predecessor(number) for number in "123456"] == [
        None,
        "1",
        "1",
        "2",
        None,
        None,
    ]


def test_a_version_back_in_charge_has_no_replacement():
    state = make_state(
        change(1, "promoted", None, "1"),
        change(2, "promoted", "1", "2"),
        change(3, "rolled back", "2", "1"),
        change(4, "promoted", "1", "3", done=False),  # its alias has moved, the record has not
        versions="123",
    )
    ends = [state.find_replacement(number) for number in "123"]
    assert [end and end.number for end in ends] == [4, 3, None]


@pytest.fixture
def client(place):
    """An MLflow client; the registered model is there and has no version."""
    open_store(Tracking(name="local"))
    MlflowClient().create_registered_model(NAME)
    return MlflowClient()


def test_a_record_that_was_edited_is_told(client):
    client.set_registered_model_tag(NAME, "change_log", "see the wiki")  # somebody's own
    assert fetch_state(NAME).changes == ()
    for value in ("oops", '{"new": "1"}', "[]"):
        client.set_registered_model_tag(NAME, "change_0002", value)
        with pytest.raises(InputError, match="change_0002"):
            fetch_state(NAME)


def test_a_change_comes_back_from_its_tag(client):
    written = change(12, "promoted", "1", "2", done=False)
    assert written.tag == "change_0012"
    client.set_registered_model_tag(NAME, written.tag, written.to_json())
    assert fetch_state(NAME).changes == (written,)


def test_a_change_that_an_earlier_version_recorded_is_read(client):
    """Word for word as it lies in stores; the order of its keys does not matter."""
    record = {
        "action": "promoted",
        "new": "1",
        "old": None,
        "at": "2026-11-25T18:56:24+00:00",
        "why": "It is the first champion.",
        "by": "root",
        "done": True,
    }
    client.set_registered_model_tag(NAME, "change_0001", json.dumps(record))
    assert fetch_state(NAME).changes == (Change(number=1, **record),)
    assert json.loads(Change(number=1, **record).to_json()) == record


def test_times_are_written_in_utc():
    assert format_time("2026-01-01T00:30:59+02:00") == "2025-12-31 22:30 UTC"
