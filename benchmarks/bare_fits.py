"""The rival of the benchmarks: the same file and the same fits, with nothing around them.

``python benchmarks/bare_fits.py <tickets.csv> <jobs as JSON>``; a job is the class of an estimator,
its parameters, and the share of the tickets that is left out for testing.
"""

import importlib
import json
import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

TARGETS = {"Critical": 4, "High": 8, "Medium": 24, "Low": 72}
CATEGORIES = [
    "Ticket Type",
    "Ticket Priority",
    "Ticket Channel",
    "Product Purchased",
    "Ticket Subject",
]
NUMBERS = ["hour", "weekend", "weekday"]

path, jobs = sys.argv[1:]
tickets = pd.read_csv(path, parse_dates=["Created At", "Time to Resolution"])
hours = (tickets["Time to Resolution"] - tickets["Created At"]).dt.total_seconds() / 3600
tickets["breach"] = hours > tickets["Ticket Priority"].map(TARGETS)
tickets = tickets[tickets["Time to Resolution"].notna()].sort_values("Created At")
created = tickets["Created At"].dt
tickets = tickets.assign(
    hour=created.hour, weekday=created.day_of_week, weekend=created.day_of_week >= 5
)


def fit(target, parameters, test_size):
    """Cross-fit an estimator over five blocks of the training tickets, then fit it on all."""
    module, name = target.rsplit(".", 1)
    training = tickets.iloc[: int(len(tickets) * (1 - test_size))]
    frame = training[CATEGORIES].fillna("Unknown").join(training[NUMBERS].astype(float))
    breach = training["breach"].to_numpy()
    if name == "LGBMClassifier":
        codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        encoder = ColumnTransformer([("c", codes, CATEGORIES), ("n", "passthrough", NUMBERS)])
        arguments = {"model__categorical_feature": list(range(len(CATEGORIES)))}
    else:
        columns = OneHotEncoder(handle_unknown="ignore")
        encoder = ColumnTransformer([("c", columns, CATEGORIES), ("n", StandardScaler(), NUMBERS)])
        arguments = {}
    estimator = getattr(importlib.import_module(module), name)(**parameters)
    pipeline = Pipeline([("encode", encoder), ("model", estimator)])
    blocks = np.array_split(np.arange(len(frame)), 5)
    folds = [(np.concatenate(blocks[1:]), blocks[0])]
    folds += [(np.concatenate(blocks[:number]), blocks[number]) for number in range(1, 5)]
    for learn, score in folds:
        pipeline.fit(frame.iloc[learn], breach[learn], **arguments)
        pipeline.predict_proba(frame.iloc[score])
    pipeline.fit(frame, breach, **arguments)


for job in json.loads(jobs):
    fit(*job)
