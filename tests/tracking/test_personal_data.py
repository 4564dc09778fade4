"""What customers wrote stays with the customers: nothing of a row goes to the store."""

import numpy as np
import pandas as pd
import pytest

from slarisk.errors import InputError

# Values that no other file would hold by chance.
NAMES = [f"Zebedee-{word}" for word in ("Quill", "Quark", "Quince", "Quorn", "Quirk")]
NUMBERS = [735191.25, 735192.25, 735193.25, 735194.25, 735195.25]
DATES = ["1987-03-02", "1987-03-03", "1987-03-04", "1987-03-05", "1987-03-06"]
PRICES = [90210.75, 90211.75, 90212.75, 90213.75, 90214.75]
PRIVATE = [
    "customer=Customer Name",
    "mail=Customer Email",
    "age=Customer Age",
    "bought=Date of Purchase",
    "lost=Lost",
]


@pytest.fixture
def private(place, write_tickets):
    """An export in which each field that a model reads holds values that give it away."""
    path = write_tickets(place / "tickets.csv", tickets=300)
    table = pd.read_csv(path, dtype="str")
    place_of = np.arange(len(table)) % len(NAMES)
    table["Customer Name"] = np.take(NAMES, place_of)
    table["Customer Email"] = [f"{name}@hush-hush.example" for name in table["Customer Name"]]
    table["Customer Age"] = np.take(NUMBERS, place_of)
    table["Date of Purchase"] = np.take(DATES, place_of)
    table["Lost"] = np.take(PRICES, place_of)
    table["Ticket ID"] = "HUSH" + table["Ticket ID"]
    table.to_csv(path, index=False)
    return place


POLICY = [
    "~data.columns.customer_age",
    "~data.columns.purchased_at",
    *(f"+data.columns.{field}" for field in PRIVATE),
    "data.dates=[bought]",
    "data.known.created=[ticket_id,created_at,priority,channel,customer,mail,age,bought,lost]",
    "data.costs.breach=lost",
    "data.segments=[priority]",
    "features.calendar=[hour]",
]
LEARNED = {"bundle.json", "pipeline.skops", "seen.parquet"}  # a model knows its categories


def find_secrets(place):
    """Say which values of tickets are in which file of the store, but for what a model learned."""
    files = [path for path in place.rglob("*") if path.is_file() and path.name not in LEARNED]
    logged = {path: path.read_bytes() for path in files if path.name != "tickets.csv"}
    assert any(path.name == "mlflow.db" for path in logged)
    secrets = ["Zebedee", "hush-hush", "HUSHT", *map(str, NUMBERS), *DATES, *map(str, PRICES)]
    return {
        (secret, path.name)
        for secret in secrets
        for path, content in logged.items()
        if secret.encode() in content
    }


def test_no_value_of_a_ticket_is_logged_with_a_run(private, train_on):
    features = ["categorical=[channel,customer]", "numeric=[age]", "days_since=[bought]"]
    train_on(*POLICY, *(f"features.{each}" for each in features), "features.text=[mail]")

    assert [path for path in private.rglob("*") if path.name == "input_example.json"]
    assert find_secrets(private) == set()


def test_no_value_of_a_ticket_is_logged_when_a_run_fails(private, train_on):
    with pytest.raises(InputError, match="customer"):
        train_on(*POLICY, "features.categorical=[channel]", "features.numeric=[customer]")

    assert find_secrets(private) == set()
