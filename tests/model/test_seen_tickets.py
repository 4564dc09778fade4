import pandas as pd

from slarisk.config import DataPolicy
from slarisk.model.bundle import ORIGIN, PROBABILITY
from slarisk.model.seen_tickets import NEW, OUT_OF_FOLD, TEST, hash_identities


def test_only_tickets_with_a_known_creation_time_are_looked_up(trained):
    """In a batch larger than the training run; the result is that of looking up every ticket."""
    seen = trained.bundle.seen_tickets
    others = trained.tickets.assign(created_at=trained.tickets["created_at"] + pd.Timedelta("1s"))
    both = pd.concat([trained.tickets, others], ignore_index=True)
    both.loc[[3, 1003], "created_at"] = pd.NaT
    count = len(trained.tickets)
    mask = seen._share_creation_time(both)

    assert mask[[3, 1003]].all()
    assert 0 < mask[count:].sum() < count / 2
    pieces = [seen.match(both.iloc[start : start + 100]) for start in range(0, 2 * count, 100)]
    pd.testing.assert_frame_equal(seen.match(both), pd.concat(pieces))


def test_a_ticket_in_neither_part_is_new(trained):
    matches = trained.bundle.seen_tickets.match(trained.tickets)

    origins = matches["origin"].value_counts()
    assert origins[OUT_OF_FOLD] == len(trained.training)
    assert origins[TEST] == len(trained.test)
    assert origins[NEW] == len(trained.tickets) - len(trained.training) - len(trained.test) > 0


def test_the_same_id_at_another_time_is_another_ticket(trained):
    later = trained.training.head(3).copy()
    later.loc[[0, 1], "created_at"] += pd.Timedelta(days=366)

    assert trained.bundle.decide(later)[ORIGIN].tolist() == [NEW, NEW, OUT_OF_FOLD]


def test_a_ticket_without_id_is_new(trained):
    nameless = trained.training.head(2).copy()
    nameless["ticket_id"] = pd.Series([None, None], dtype="str")

    assert trained.bundle.decide(nameless)[ORIGIN].tolist() == [NEW, NEW]


def test_identity_does_not_depend_on_the_unit_of_time(trained):
    data = trained.bundle.manifest.data
    coarse = trained.training.assign(created_at=trained.training["created_at"].astype("M8[s]"))

    assert hash_identities(coarse, data).equals(hash_identities(trained.training, data))


def test_identities_are_unique(trained):
    assert trained.bundle.seen["identity"].is_unique


def test_imputed_creation_times_are_those_of_training(imputed):
    bundle, training = imputed.bundle, imputed.training
    raw_training = training.drop(columns="created_at")
    matches = bundle.seen_tickets.match(raw_training)
    assert (matches["origin"] == OUT_OF_FOLD).all()
    times = bundle.seen_tickets.creation_times(raw_training, matches)
    assert (times == training["created_at"]).all()
    assert training["created_at"].ne(training["first_response_at"] - pd.Timedelta("3h")).any()

    unseen = imputed.tickets.head(2).assign(ticket_id=pd.Series(["X1", "X2"], dtype="str"))
    times = bundle.seen_tickets.creation_times(unseen, bundle.seen_tickets.match(unseen))
    assert (unseen["first_response_at"] - times == pd.Timedelta("3h")).all()  # between 1 and 5
    assert (
        bundle.decide(raw_training)[PROBABILITY].to_numpy() == imputed.learned.probability
    ).all()


def test_without_times_ids_alone_identify_tickets():
    policy = DataPolicy(name="x", columns={"ticket_id": "id"})
    identity = hash_identities(pd.DataFrame({"ticket_id": ["a", "b", "a"]}, dtype="str"), policy)

    assert identity[0] == identity[2] != identity[1]
