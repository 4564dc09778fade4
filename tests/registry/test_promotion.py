import json
import threading
import time
from types import SimpleNamespace

import mlflow
import pytest
from mlflow import MlflowClient

from slarisk.config import Tracking
from slarisk.errors import InputError, Refused
from slarisk.model.checksums import write_checksums
from slarisk.registry import promotion, state
from slarisk.registry.card import IN_CHARGE, WAS_IN_CHARGE
from slarisk.registry.models import fetch_checksums
from slarisk.registry.promotion import (
    OvertakenError,
    promote_version,
    promotion_lock,
    recover,
    roll_back,
)
from slarisk.registry.state import fetch_state, format_time
from slarisk.registry.versions import find_champion
from slarisk.tracking.runs import find_run
from slarisk.tracking.store import open_store

NAME = "sla-breach-risk"
WRITES = (
    "create_registered_model",
    "create_model_version",
    "set_registered_model_tag",
    "set_registered_model_alias",
    "set_model_version_tag",
    "update_model_version",
    "delete_registered_model_alias",
    "delete_registered_model_tag",
    "delete_model_version",
)


@pytest.fixture
def run(logged_run):
    """A run with a model."""
    found = find_run(logged_run)
    return SimpleNamespace(record=found, checksums=fetch_checksums(found))


@pytest.fixture
def promote(run):
    """Puts the run's model in charge, judged against how things stand."""

    def take(state=None, card="A card."):
        tags = {"files_sha256": write_checksums(run.checksums), "objective": "1"}
        state = state or recover(NAME, exclusive=True)
        return promote_version(NAME, run.record, tags, card, "better", state).number

    return take


def aliases():
    found = MlflowClient().get_registered_model(NAME).aliases
    return {alias: str(number) for alias, number in found.items()}


def changes():
    return [(each.action, each.old, each.new) for each in fetch_state(NAME).changes if each.done]


def undo(why="worse"):
    old, former = roll_back(NAME, why, recover(NAME, exclusive=True))
    return old.number, former.number


def test_a_promotion_moves_both_aliases_and_goes_on_record(run, promote):
    assert promote() == "1"
    assert aliases() == {"champion": "1"}
    assert promote() == "2"
    assert aliases() == {"champion": "2", "previous": "1"}
    version = MlflowClient().get_model_version(NAME, "2")
    assert version.description == "A card."
    assert version.tags["objective"] == "1"
    assert version.tags["in_charge_since"].startswith("20")
    assert version.run_id == run.record.run_id
    assert changes() == [("promoted", None, "1"), ("promoted", "1", "2")]
    last = fetch_state(NAME).changes[-1]
    assert (last.why, last.number, last.done) == ("better", 2, True)
    assert mlflow.pyfunc.load_model(f"models:/{NAME}@champion")


def test_rollbacks_go_down_to_the_first_champion_and_no_further(promote):
    for _ in range(3):
        promote()
    assert undo() == ("3", "2")
    assert aliases() == {"champion": "2", "previous": "1"}
    assert undo("worse still") == ("2", "1")
    assert aliases() == {"champion": "1"}
    with pytest.raises(Refused, match="version 1"):
        undo()
    assert promote() == "4"
    assert aliases() == {"champion": "4", "previous": "1"}
    assert undo() == ("4", "1")
    assert changes()[3:] == [
        ("rolled back", "3", "2"),
        ("rolled back", "2", "1"),
        ("promoted", "1", "4"),
        ("rolled back", "4", "1"),
    ]
    assert fetch_state(NAME).changes[4].why == "worse still"


def test_a_rollback_passes_over_a_version_that_was_deleted(promote):
    for _ in range(3):
        promote()
    MlflowClient().delete_registered_model_alias(NAME, "previous")
    MlflowClient().delete_model_version(NAME, "2")
    assert undo() == ("3", "1")
    assert aliases() == {"champion": "1"}


def test_there_is_nothing_to_go_back_to_without_a_champion(promote):
    with pytest.raises(Refused, match=NAME):
        undo()
    promote()
    promote()
    MlflowClient().delete_registered_model_alias(NAME, "previous")
    MlflowClient().delete_model_version(NAME, "1")
    with pytest.raises(Refused, match="version 2"):
        undo()
    assert find_champion(NAME).number == "2"


def test_a_damaged_version_does_not_come_back(promote, place):
    promote()
    promote()
    (card,) = place.glob("mlruns/*/models/*/artifacts/data/bundle/seen.parquet")
    card.write_bytes(card.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"data/bundle/seen\.parquet was changed"):
        undo()
    assert aliases() == {"champion": "2", "previous": "1"}


def test_an_alias_that_was_moved_by_hand_goes_on_record(promote):
    for _ in range(3):
        promote()
    client = MlflowClient()
    client.set_registered_model_alias(NAME, "champion", "1")
    state = recover(NAME, exclusive=True)
    assert changes()[-1] == ("moved by hand", "3", "1")
    assert state.champion_number == "1"
    assert aliases() == {"champion": "1"}  # previous: before version 1 there was none
    assert recover(NAME, exclusive=True) == state
    client.delete_registered_model_alias(NAME, "champion")
    recover(NAME, exclusive=True)
    assert changes()[-1] == ("moved by hand", "1", None)
    assert promote() == "4"
    assert changes()[-1] == ("promoted", None, "4")


def test_a_version_that_others_registered_is_left_alone(run, promote):
    promote()
    client = MlflowClient()
    client.create_model_version(NAME, f"models:/{run.record.model_id}", run.record.run_id)
    assert promote() == "3"
    assert [version.number for version in fetch_state(NAME).versions] == ["1", "2", "3"]
    client.set_registered_model_alias(NAME, "champion", "2")
    recover(NAME, exclusive=True)
    assert aliases() == {"champion": "2", "previous": "3"}


# Model cards ------------------------------------------------------------------------------------

CARD = f"A model.\n\n### {IN_CHARGE}\n\nIt is better.\n\n### Data\n\nMuch."


def card_of(number):
    return MlflowClient().get_model_version(NAME, number).description


def test_a_card_says_until_when_and_who_came_then(promote):
    promote(card=CARD)
    assert card_of("1") == CARD
    promote(card=CARD)
    at = format_time(fetch_state(NAME).changes[-1].at)
    assert card_of("1") == CARD.replace(
        f"{IN_CHARGE}\n\n",
        f"{WAS_IN_CHARGE}\n\nIn charge until {at}, when version 2 replaced it (promoted). better"
        "\n\n",
    )
    assert card_of("2") == CARD
    undo("It escalates\n\ntoo much.")
    assert card_of("1") == CARD
    assert f"### {WAS_IN_CHARGE}\n" in card_of("2")
    assert "version 1 replaced it (rolled back). It escalates too much." in card_of("2")


def test_a_card_of_an_earlier_version_is_put_right(promote):
    """It was left as it was when its version was replaced."""
    promote(card=CARD)
    promote(card=CARD)
    MlflowClient().update_model_version(NAME, "1", description=CARD)
    state = recover(NAME, exclusive=True)
    assert f"### {WAS_IN_CHARGE}\n" in card_of("1")
    assert recover(NAME, exclusive=True) == state
    MlflowClient().set_registered_model_alias(NAME, "champion", "1")
    recover(NAME, exclusive=True)
    assert card_of("1") == CARD
    assert "(moved by hand)" in card_of("2")


def test_a_promotion_killed_before_the_card_is_settled(promote, kill_after, monkeypatch):
    promote(card=CARD)
    kill_after(6)  # version, record, alias, mark, record, previous
    with pytest.raises(Killed):
        promote(card=CARD)
    monkeypatch.undo()
    assert card_of("1") == CARD
    recover(NAME, exclusive=True)
    assert f"### {WAS_IN_CHARGE}\n" in card_of("1")


# Killed at any moment ---------------------------------------------------------------------------


class Killed(BaseException):
    """What no code expects."""


@pytest.fixture
def kill_after(monkeypatch):
    """Lets so many writes to the registry happen, and the process die before the next."""

    def limit(writes):
        left = [writes]

        class Dying:
            def __getattr__(self, method):
                real = getattr(MlflowClient(), method)

                def call(*arguments, **options):
                    if method in WRITES:
                        if left[0] == 0:
                            raise Killed
                        left[0] -= 1
                    return real(*arguments, **options)

                return call

        monkeypatch.setattr(promotion, "mlflow_client", Dying)

    return limit


def check_whole(champion):
    """The champion has its evidence, `previous` and the record fit it, nothing is left over."""
    state = fetch_state(NAME)
    assert state.champion_number == champion
    assert (state.pending, state.unfinished) == (None, [])
    assert state.changes[-1].new == champion
    assert state.previous == state.find_predecessor(champion)
    version = MlflowClient().get_model_version(NAME, champion)
    assert version.description == "A card."
    assert {"objective", "files_sha256", "in_charge_since"} <= set(version.tags)


@pytest.mark.slow
def test_a_promotion_that_is_killed_has_happened_or_not(promote, kill_after, monkeypatch):
    outcomes = []
    for writes in range(7):
        monkeypatch.undo()
        promote()
        before = fetch_state(NAME).champion_number
        kill_after(writes)
        try:
            promote()
            break
        except Killed:
            monkeypatch.undo()
        after = find_champion(NAME).number
        outcomes.append(after != before)
        if after != before:  # with all its evidence, at once
            assert find_champion(NAME).tags["objective"] == "1"
            assert MlflowClient().get_model_version(NAME, after).description == "A card."
        recover(NAME, exclusive=True)
        check_whole(after)
        assert len(changes()) == len({each.number for each in fetch_state(NAME).changes})
    # version, record, alias | mark, record, previous
    assert outcomes == [False, False, False, True, True, True]


def test_a_first_promotion_that_is_killed_has_happened_or_not(promote, kill_after, monkeypatch):
    kill_after(1)
    with pytest.raises(Killed):
        promote()
    monkeypatch.undo()
    assert find_champion(NAME) is None
    kill_after(1)
    with pytest.raises(Killed):
        promote()
    monkeypatch.undo()
    assert promote() == "2"
    check_whole("2")


@pytest.mark.slow
def test_a_rollback_that_is_killed_has_happened_or_not(promote, kill_after, monkeypatch):
    outcomes = []
    for writes in range(6):
        monkeypatch.undo()
        for _ in range(3):
            promote()
        before = fetch_state(NAME).champion_number
        kill_after(writes)
        try:
            undo()
            break
        except Killed:
            monkeypatch.undo()
        after = find_champion(NAME).number
        outcomes.append(after != before)
        recover(NAME, exclusive=True)
        check_whole(after)
        assert changes()[-1][0] == ("rolled back" if after != before else "promoted")
    assert outcomes == [False, False, True, True]  # record, alias | record, previous


def test_repairing_can_be_killed_too(promote, kill_after, monkeypatch):
    promote()
    for writes in range(4):
        kill_after(2)
        with pytest.raises(Killed):
            promote()  # the version and the record are there, the alias is not
        kill_after(writes)
        try:
            recover(NAME, exclusive=True)
        except Killed:
            monkeypatch.undo()
            assert find_champion(NAME).number == "1"
            recover(NAME, exclusive=True)
        monkeypatch.undo()
        check_whole("1")
    assert [version.number for version in fetch_state(NAME).versions] == ["1"]


# Several at once --------------------------------------------------------------------------------


def test_one_promotion_waits_for_another(place):
    """On a local store; and it says so."""
    heard, order = [], []
    open_store(Tracking(name="local"))

    def second():
        with promotion_lock(heard.append):
            order.append("second")

    with promotion_lock(heard.append) as exclusive:
        assert exclusive
        thread = threading.Thread(target=second)
        thread.start()
        while not heard:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert (order, heard) == (["first", "second"], [heard[0]])


def test_a_server_gives_nobody_a_lock(monkeypatch):
    monkeypatch.setattr(mlflow, "get_registry_uri", lambda: "http://127.0.0.1:5000")
    with promotion_lock(pytest.fail) as exclusive:
        assert not exclusive


def test_who_was_judged_against_a_former_champion_gives_way(promote):
    stale = recover(NAME, exclusive=True)
    promote(stale)
    before = fetch_state(NAME)
    with pytest.raises(OvertakenError):
        promote(stale)
    assert fetch_state(NAME) == before
    promote()
    undone = fetch_state(NAME)
    undo()
    with pytest.raises(OvertakenError):
        promote(undone)
    assert find_champion(NAME).number == "1"


def test_a_version_that_is_about_to_take_charge_comes_first(promote, run, kill_after, monkeypatch):
    """Of two that were judged against the same champion, as on a server, the lower number wins."""
    promote()
    state = recover(NAME, exclusive=True)
    kill_after(1)
    with pytest.raises(Killed):
        promote(state)  # version 2, not in charge yet
    monkeypatch.undo()
    with pytest.raises(OvertakenError):
        promote(state)
    assert [version.number for version in fetch_state(NAME).versions] == ["1", "2"]


def test_an_older_version_that_is_not_in_charge_yet_comes_first(promote, kill_after, monkeypatch):
    """It was registered when the champion was looked up, by a promotion that is still running."""
    kill_after(2)
    with pytest.raises(Killed):
        promote()  # version 1, not in charge yet
    monkeypatch.undo()
    with pytest.raises(OvertakenError):
        promote(fetch_state(NAME))
    assert [version.number for version in fetch_state(NAME).versions] == ["1"]
    assert find_champion(NAME) is None


def test_a_version_that_is_registered_while_others_are_cleared_away_stays(
    promote, run, kill_after, monkeypatch
):
    promote()
    kill_after(2)
    with pytest.raises(Killed):
        promote()  # version 2, on record as not done yet
    monkeypatch.undo()
    real, seen = promotion.fetch_state, []

    def fetch_and_register(name):
        seen.append(name)
        if len(seen) == 2:  # after the dead change was taken back
            tags = {"files_sha256": write_checksums(run.checksums)}
            source = f"models:/{run.record.model_id}"
            MlflowClient().create_model_version(name, source, run.record.run_id, tags)
        return real(name)

    monkeypatch.setattr(promotion, "fetch_state", fetch_and_register)
    recover(NAME, exclusive=True)
    assert [version.number for version in real(NAME).versions] == ["1", "3"]


def test_versions_and_aliases_are_of_one_moment(promote, monkeypatch):
    promote()
    old = MlflowClient().get_registered_model(NAME)
    promote()
    real, answers = state.mlflow_client(), [old]

    class Client:
        def get_registered_model(self, name):
            return answers.pop() if answers else real.get_registered_model(name)

    monkeypatch.setattr(state, "mlflow_client", Client)
    found = fetch_state(NAME)
    assert (found.champion_number, found.previous, found.unfinished) == ("2", "1", [])
    assert not answers


def test_another_machine_is_given_time_and_no_more(promote, kill_after, monkeypatch):
    promote()
    kill_after(2)
    with pytest.raises(Killed):
        promote()
    monkeypatch.undo()
    monkeypatch.setattr(promotion, "_POLL", 0.05)
    monkeypatch.setattr(promotion, "_LEASE", 0.4)
    started = time.monotonic()
    assert recover(NAME, exclusive=False).champion_number == "1"
    assert time.monotonic() - started > 0.4
    monkeypatch.undo()
    assert [version.number for version in fetch_state(NAME).versions] == ["1"]

    kill_after(2)
    with pytest.raises(Killed):
        promote()
    monkeypatch.undo()
    monkeypatch.setattr(promotion, "_POLL", 0.05)

    def finish():
        time.sleep(0.2)
        promotion._move_champion(MlflowClient(), NAME, fetch_state(NAME).pending)

    thread = threading.Thread(target=finish)
    thread.start()
    assert recover(NAME, exclusive=False).champion_number == "3"
    thread.join()
    check_whole("3")


def test_who_is_too_slow_gives_way(promote, monkeypatch):
    promote()
    monkeypatch.setattr(promotion, "_DEADLINE", -1.0)
    with pytest.raises(OvertakenError):
        promote()
    assert [version.number for version in fetch_state(NAME).versions] == ["1"]


# The record -------------------------------------------------------------------------------------


def test_a_rollback_that_was_overtaken_changes_nothing(promote):
    promote()
    promote()
    stale = recover(NAME, exclusive=True)
    promote()
    before = fetch_state(NAME)
    with pytest.raises(Refused, match="Not rolled back"):
        roll_back(NAME, "worse", stale)
    assert fetch_state(NAME) == before


def test_a_record_can_be_read_by_people(promote):
    promote()
    tags = MlflowClient().get_registered_model(NAME).tags
    assert list(tags) == ["change_0001"]
    written = json.loads(tags["change_0001"])
    assert (written["action"], written["new"], written["why"]) == ("promoted", "1", "better")
    assert written["by"]
