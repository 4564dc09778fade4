"""The kinds of features: which columns a model sees of a ticket, and how they are encoded.

A kind is one class. To add one, write its class below and its key in
:class:`slarisk.config.FeatureSet`; everything else asks the classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import get_tags

from slarisk.errors import InputError
from slarisk.exports.numbers import hint_marks
from slarisk.learning.context import name_load, name_past, name_rates, split_group
from slarisk.learning.landmarks import NOW_ENTRIES, count_weekday_hours, name_now
from slarisk.tickets.changes import CHANGES_OF, EVENTS, IDLE, name_so_far
from slarisk.tickets.contract import get_dates, get_text
from slarisk.tickets.fields import AGE, AS_OF, LAST_CHANGE, TARGET
from slarisk.times.zones import show_local

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sklearn.base import BaseEstimator

    from slarisk.config import FeatureSet, Load, Past, Rates

UNKNOWN = "Unknown"  # the category of a missing value
A_MONDAY = pd.Timestamp("2024-01-08 09:00")  # the date of a made-up ticket
CATEGORIES, NUMBERS = "categories", "numbers"  # the encoder's steps that kinds share
_TEXT_WORDS = 300  # the most frequent words of a text field
_LARGEST = 2.0**53  # a float counts whole numbers up to here; forests refuse much larger ones
_DAY_HOURS, _WEEK_DAYS = 24, 7

Encoding = Literal["one_hot", "native", "native_frame"]
Columns = dict[str, "pd.Series"]
EncoderPart = tuple[
    str, Any, Any
]  # of a ColumnTransformer: the step's name, its encoder, its columns


class FeatureKind:
    """One kind of feature, listed in a feature set under its ``key``.

    What is listed is an entry: the name of a field, unless the kind says otherwise. Unless
    overridden, an entry makes one column, of numbers and of the entry's name. A kind that looks at
    other tickets takes its columns from the tickets: see :mod:`slarisk.learning.context`.

    Attributes
    ----------
    key : str
        The list of :class:`~slarisk.config.FeatureSet`.
    local : bool
        Whether it reads the creation time off the clocks of the feature set's time zone.
    holds : {"numbers", "categories", "text"}
        What the columns hold: floats with NaN for unknown, or ``str`` without gaps. Checks and the
        drift profile compare the values of a column, unless it is free text.
    example : str, float or Timestamp
        The value of the fields in a made-up ticket. A field whose example is a float is a number
        in the model's signature; any other is text there.
    """

    key: ClassVar[str]
    local: ClassVar[bool] = False
    holds: ClassVar[Literal["numbers", "categories", "text"]] = "numbers"
    example: ClassVar[str | float | pd.Timestamp]

    def fields(self, entry: Any) -> list[str]:
        """The ticket fields that an entry reads."""
        return [entry]

    def names(self, entry: Any) -> list[str]:
        """The names of an entry's columns."""
        return [entry]

    def make(self, tickets: pd.DataFrame, entry: Any) -> Columns:
        """Make the columns of an entry; a field that is not there counts as unknown."""
        raise NotImplementedError

    def validate_entry(self, entry: Any) -> None:
        """Raise an InputError if the kind does not know an entry."""

    def validate_types(self, tickets: pd.DataFrame, entry: Any) -> None:
        """Raise an InputError if a field of the training tickets is of another type.

        The message goes to the tracking server: it must not quote values of tickets.
        """

    def validate_frame(self, frame: pd.DataFrame, entries: list[Any]) -> None:
        """Raise an InputError if there is nothing to learn from in the training columns."""

    def parts(
        self, names: list[str], features: FeatureSet, encoding: Encoding
    ) -> list[EncoderPart]:
        """The parts of the encoder for all columns of this kind.

        Categories are encoded as native codes or as a column each, numbers filled and scaled where
        the estimator needs it, and each text by tf-idf. Kinds may share a step, with equal
        encoders; it gets the columns of all. Native categories are looked for in CATEGORIES.
        """
        match self.holds:
            case "categories":
                return [(CATEGORIES, _category_encoder(features, encoding), names)]
            case "numbers":
                return [(NUMBERS, _number_encoder(features, encoding), names)]
            case "text":
                return [(name, _word_encoder(), name) for name in names]


class Categorical(FeatureKind):
    """The value of a field, as a category."""

    key = "categorical"
    holds = "categories"
    example = UNKNOWN

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Take the text of a field."""
        return {entry: get_text(tickets, entry).fillna(UNKNOWN)}


class FreeText(FeatureKind):
    """The words of a field."""

    key = "text"
    holds = "text"
    example = "Cannot log in since this morning"

    def names(self, entry: str) -> list[str]:
        """Name the column: a field may be both, a category and text."""
        return [f"words_{entry}"]

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Take the text of a field."""
        return {f"words_{entry}": get_text(tickets, entry).fillna("")}

    def validate_frame(self, frame: pd.DataFrame, entries: list[str]) -> None:
        """Raise an InputError that names each field without a word in it."""
        words_of = _word_encoder().build_analyzer()
        empty = [name for name in entries if not any(map(words_of, frame[f"words_{name}"]))]
        if empty:
            raise InputError(
                f"features.text: of {len(frame):,} tickets to train on, none has a word in "
                f"{', '.join(empty)}. Leave it out of the features."
            )


class Numeric(FeatureKind):
    """The value of a field, as a number."""

    key = "numeric"
    example = 0.0

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Read the numbers of a field."""
        return {entry: read_numbers(tickets, entry)}

    def validate_types(self, tickets: pd.DataFrame, entry: str) -> None:
        """Raise an InputError if the field holds dates, or nothing but text."""
        present = tickets[entry].dropna() if entry in tickets else pd.Series(dtype="str")
        if _holds_dates(present):
            raise InputError(
                f"the field {entry!r} is a numeric feature, but holds dates. List it under "
                "features.days_since."
            )
        if len(present) and read_numbers(tickets, entry).isna().all():
            raise InputError(
                f"the field {entry!r} is a numeric feature, but holds text: none of its "
                f"{len(present):,} values is a number. List it under features.categorical."
                f"{hint_marks(present.astype('str'))}"
            )


class Calendar(FeatureKind):
    """A part of the creation time; ``hour_cyclic`` and ``weekday_cyclic`` as sine and cosine."""

    key = "calendar"
    local = True
    example = A_MONDAY
    _names: ClassVar = {
        **{part: [part] for part in ("hour", "weekday", "weekend", "month")},
        **{f"{unit}_cyclic": [f"{unit}_sin", f"{unit}_cos"] for unit in ("hour", "weekday")},
    }

    def fields(self, entry: str) -> list[str]:
        """Read the creation time, whatever the part."""
        return ["created_at"]

    def names(self, entry: str) -> list[str]:
        """Name the part; a cyclic one has a sine and a cosine."""
        return list(self._names[entry])

    def validate_entry(self, entry: str) -> None:
        """Raise an InputError if there is no such part."""
        if entry not in self._names:
            raise InputError(
                f"features.calendar: {entry!r} is not one of {', '.join(self._names)}."
            )

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Take the part of the creation time."""
        created = get_dates(tickets, "created_at")
        weekday = created.dt.day_of_week.astype(float)
        match entry:
            case "hour":
                return {"hour": created.dt.hour.astype(float)}
            case "weekday":
                return {"weekday": weekday}
            case "weekend":
                return {"weekend": (weekday >= 5).astype(float).where(weekday.notna())}
            case "month":
                return {"month": created.dt.month.astype(float)}
            case "hour_cyclic":
                cycle = (created.dt.hour + created.dt.minute / 60) / _DAY_HOURS
            case _:
                cycle = (weekday + created.dt.hour / _DAY_HOURS) / _WEEK_DAYS
        angle = 2 * np.pi * cycle.astype(float)
        return dict(zip(self._names[entry], (np.sin(angle), np.cos(angle)), strict=True))


class DaysSince(FeatureKind):
    """The days from a date field to the creation."""

    key = "days_since"
    example = A_MONDAY

    def fields(self, entry: str) -> list[str]:
        """Read both dates."""
        return [entry, "created_at"]

    def names(self, entry: str) -> list[str]:
        """Name the column after the date."""
        return [f"days_since_{entry}"]

    def validate_types(self, tickets: pd.DataFrame, entry: str) -> None:
        """Raise an InputError if the field holds no dates."""
        if not _holds_dates(get_dates(tickets, entry)):
            raise InputError(
                f"features.days_since: the field {entry!r} holds no dates. List it under "
                "data.dates."
            )

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Count the days."""
        elapsed = get_dates(tickets, "created_at") - get_dates(tickets, entry)
        return {f"days_since_{entry}": (elapsed.dt.total_seconds() / 86400).astype(float)}


class LoadOfDesk(FeatureKind):
    """How many tickets were open, and arrived and were resolved lately."""

    key = "load"
    example = UNKNOWN

    def fields(self, entry: Load) -> list[str]:
        """Read the creation time, and the fields of the groups."""
        return ["created_at", *(name for group in entry.by for name in split_group(group))]

    def names(self, entry: Load) -> list[str]:
        """Name a column for each group, count and window."""
        return name_load(entry)

    def make(self, tickets: pd.DataFrame, entry: Load) -> Columns:
        """Take the columns."""
        return _take_columns(tickets, name_load(entry))


class BreachRates(FeatureKind):
    """The share of labels known lately that were breaches."""

    key = "rates"
    example = UNKNOWN

    def fields(self, entry: Rates) -> list[str]:
        """Read the creation time, and the fields of the groups."""
        return ["created_at", *(name for group in entry.by for name in split_group(group))]

    def names(self, entry: Rates) -> list[str]:
        """Name a column for each group and window."""
        return name_rates(entry)

    def make(self, tickets: pd.DataFrame, entry: Rates) -> Columns:
        """Take the columns."""
        return _take_columns(tickets, name_rates(entry))


class PastOfPerson(FeatureKind):
    """The earlier tickets of whoever a field names."""

    key = "past"
    example = UNKNOWN

    def fields(self, entry: Past) -> list[str]:
        """Read the creation time, and the fields that name people."""
        return ["created_at", *entry.of]

    def names(self, entry: Past) -> list[str]:
        """Name three columns for each field."""
        return name_past(entry)

    def make(self, tickets: pd.DataFrame, entry: Past) -> Columns:
        """Take the columns."""
        return _take_columns(tickets, name_past(entry))


class NowOfTicket(FeatureKind):
    """The age of an open ticket, the time it has left, and the hour at which it is looked at.

    Tickets have what :func:`~slarisk.learning.landmarks.add_standing` adds.
    """

    key = "now"
    local = True
    example = A_MONDAY

    def fields(self, entry: str) -> list[str]:
        """Read the creation time, from which age is counted."""
        return ["created_at"]

    def names(self, entry: str) -> list[str]:
        """Name the column."""
        return [name_now(entry)]

    def validate_entry(self, entry: str) -> None:
        """Raise an InputError if there is no such entry."""
        if entry not in NOW_ENTRIES:
            raise InputError(f"features.now: {entry!r} is not one of {', '.join(NOW_ENTRIES)}.")

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Compute the column."""
        age, target = tickets[AGE].astype(float), tickets[TARGET].astype(float)
        as_of = get_dates(tickets, AS_OF)
        match entry:
            case "age":
                values = age
            case "weekday_hours":
                created = get_dates(tickets, "created_at")
                values = count_weekday_hours(as_of) - count_weekday_hours(created)
            case "share":
                values = age / target
            case "hours_left":
                values = target - age
            case "hour":
                values = as_of.dt.hour.astype(float)
            case _:
                values = as_of.dt.day_of_week.astype(float)
        return {name_now(entry): values}


class Changing(FeatureKind):
    """The value of a field when an open ticket is looked at, as a category."""

    key = "changing"
    holds = "categories"
    example = UNKNOWN

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Take the text of a field."""
        return {entry: get_text(tickets, entry).fillna(UNKNOWN)}


class SoFar(FeatureKind):
    """What the events of an open ticket come to so far."""

    key = "so_far"
    example = A_MONDAY

    def fields(self, entry: str) -> list[str]:
        """Read the field whose changes are counted."""
        return [entry.removeprefix(CHANGES_OF)] if entry.startswith(CHANGES_OF) else ["created_at"]

    def names(self, entry: str) -> list[str]:
        """Name the column."""
        return [name_so_far(entry)]

    def validate_entry(self, entry: str) -> None:
        """Raise an InputError if there is no such entry."""
        if entry not in (EVENTS, IDLE) and not entry.startswith(CHANGES_OF):
            raise InputError(
                f"features.so_far: {entry!r} is not {EVENTS}, {IDLE} or '{CHANGES_OF}<field>'."
            )

    def make(self, tickets: pd.DataFrame, entry: str) -> Columns:
        """Take the count; or measure the hours since the last event."""
        if entry != IDLE:
            return _take_columns(tickets, [name_so_far(entry)])
        since = get_dates(tickets, AS_OF) - get_dates(tickets, LAST_CHANGE)
        return {name_so_far(entry): (since.dt.total_seconds() / 3600).astype(float).clip(lower=0)}


def _take_columns(tickets: pd.DataFrame, names: list[str]) -> Columns:
    return {name: tickets[name].astype(float) for name in names}


# In the order of their columns.
KINDS: tuple[FeatureKind, ...] = tuple(kind() for kind in FeatureKind.__subclasses__())


def list_entries(features: FeatureSet, *holds: str) -> Iterator[tuple[FeatureKind, Any]]:
    """List what a feature set lists, with its kind; only of kinds that hold one of ``holds``."""
    for kind in KINDS:
        if not holds or kind.holds in holds:
            yield from ((kind, entry) for entry in getattr(features, kind.key))


def feature_fields(features: FeatureSet) -> list[str]:
    """The ticket fields that a feature set reads."""
    entries = list_entries(features)
    return list(dict.fromkeys(name for kind, entry in entries for name in kind.fields(entry)))


def example_values(features: FeatureSet) -> dict[str, str | float | pd.Timestamp]:
    """The value of each field in a made-up ticket, from its kind alone; a number comes first."""
    examples: dict[str, str | float | pd.Timestamp] = {}
    for kind, entry in list_entries(features):
        for name in kind.fields(entry):
            if name not in examples or isinstance(kind.example, float):
                examples[name] = kind.example
    return examples


def list_numeric_inputs(features: FeatureSet) -> list[str]:
    """The ticket fields that a feature set reads as numbers."""
    examples = example_values(features)
    return [name for name, example in examples.items() if isinstance(example, float)]


def feature_names(features: FeatureSet) -> list[str]:
    """The columns of the feature frame, in order."""
    return _names(list_entries(features))


def category_names(features: FeatureSet) -> list[str]:
    """The columns that are categories, in the order in which they are encoded."""
    return _names(list_entries(features, "categories"))


def comparable_names(features: FeatureSet) -> list[str]:
    """The columns whose values can be compared between tickets: all but free text."""
    return _names(list_entries(features, "categories", "numbers"))


def names_made_of(field: str, features: FeatureSet) -> list[str]:
    """The columns that are made of one field alone."""
    entries = list_entries(features)
    return _names((kind, entry) for kind, entry in entries if kind.fields(entry) == [field])


def _names(entries: Iterator[tuple[FeatureKind, Any]]) -> list[str]:
    return [name for kind, entry in entries for name in kind.names(entry)]


def _hint_calendar(features: FeatureSet, missing: list[str]) -> str:
    """Say what to do where tickets have no creation time, which the calendar is made of."""
    if "created_at" not in missing or not features.calendar:
        return ""
    return " Where tickets have no times: features.calendar=[] split=random."


def validate_features(features: FeatureSet, available: set[str]) -> None:
    """Raise an InputError if features are empty, repeat a name, or read a field not available."""
    missing = [name for name in feature_fields(features) if name not in available]
    if missing:
        raise InputError(
            f"features={features.name} needs the field {', '.join(missing)}, which the data policy "
            f"does not map (data.columns).{_hint_calendar(features, missing)}"
        )
    for kind, entry in list_entries(features):
        kind.validate_entry(entry)
    names = feature_names(features)
    if not names:
        raise InputError(f"features={features.name} names no feature at all.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"features={features.name} has two features of the name {', '.join(repeated)}. "
            f"List each once, under one of {', '.join(kind.key for kind in KINDS)}."
        )


def validate_types(tickets: pd.DataFrame, features: FeatureSet) -> None:
    """Raise an InputError if a field of the training tickets is not of the type its kind needs.

    Such as a numeric field that holds only text, or dates.
    """
    for kind, entry in list_entries(features):
        kind.validate_types(tickets, entry)


def validate_frame(frame: pd.DataFrame, features: FeatureSet) -> None:
    """Raise an InputError that names each text field in which no training ticket has a word."""
    for kind in KINDS:
        kind.validate_frame(frame, getattr(features, kind.key))


def make_features(tickets: pd.DataFrame, features: FeatureSet) -> pd.DataFrame:
    """Build the feature frame of some tickets.

    Parameters
    ----------
    tickets : DataFrame
        Typed tickets; a missing value, and a field that is not there, count as unknown.
    features : FeatureSet
        Which fields, and which parts of the creation time.

    Returns
    -------
    DataFrame
        Columns as :func:`feature_names`: categories and text as ``str`` without gaps, numbers as
        floats with NaN for unknown.
    """
    columns: Columns = {}
    local = tickets
    if features.timezone is not None and (features.calendar or features.now):
        read = ["created_at", *([AS_OF] if features.now else [])]
        shown = {name: show_local(get_dates(tickets, name), features.timezone) for name in read}
        local = tickets.assign(**shown)
    for kind, entry in list_entries(features):
        columns |= kind.make(local if kind.local else tickets, entry)
    return pd.DataFrame(columns, index=tickets.index)


def read_numbers(tickets: pd.DataFrame, name: str) -> pd.Series:
    """Read a field as floats; what is not a number, or beyond 2**53, becomes NaN."""
    if name not in tickets:
        return pd.Series(np.nan, index=tickets.index)
    numbers = pd.to_numeric(tickets[name], errors="coerce").astype(float)
    return numbers.where(numbers.abs() <= _LARGEST)


def _holds_dates(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


def encoding_for(estimator: BaseEstimator) -> Encoding:
    """What an estimator needs: native categories if it knows them, one-hot columns otherwise."""
    package = type(estimator).__module__.partition(".")[0]
    if package == "catboost":  # refuses categories in a matrix of floats
        return "native_frame"
    known = {"categorical_feature", "categorical_features"}
    is_native = package == "lightgbm" or known & set(estimator.get_params())
    return "native" if is_native else "one_hot"


def accepts_sparse(estimator: BaseEstimator) -> bool:
    """Whether an estimator can be fitted on a sparse matrix, which most indicator columns make."""
    return bool(get_tags(estimator).input_tags.sparse)


def make_encoder(
    features: FeatureSet, encoding: Encoding, sparse: bool = True
) -> ColumnTransformer:
    """Build the (unfitted) encoder of a feature frame.

    ``one_hot``: indicator columns, numbers with gaps filled by the median and scaled to unit
    variance (unless ``features.scale`` is off). ``native``: category codes, with -1 for an unseen
    category, and numbers as they are. ``native_frame``: the same as a DataFrame, its codes whole
    numbers. The matrix is sparse where that is smaller, and ``sparse``.
    Categories come first, then numbers, then what has a step of its own.
    """
    steps: dict[str, EncoderPart] = {}
    for kind in KINDS:
        names = _names((kind, entry) for entry in getattr(features, kind.key))
        for step, encoder, columns in kind.parts(names, features, encoding) if names else ():
            shared = [*steps[step][2], *columns] if step in steps else columns
            steps[step] = (step, encoder, shared)
    first = {CATEGORIES: 0, NUMBERS: 1}
    parts = sorted(steps.values(), key=lambda part: first.get(part[0], len(first)))
    dense = {"sparse_threshold": 0.0} if encoding != "one_hot" or not sparse else {}
    encoder = ColumnTransformer(parts, **dense)
    return encoder.set_output(transform="pandas") if encoding == "native_frame" else encoder


def _word_encoder() -> TfidfVectorizer:
    return TfidfVectorizer(max_features=_TEXT_WORDS, sublinear_tf=True, stop_words="english")


def _category_encoder(features: FeatureSet, encoding: Encoding) -> BaseEstimator:
    if encoding != "one_hot":
        return OrdinalEncoder(
            dtype=np.int64 if encoding == "native_frame" else np.float64,
            handle_unknown="use_encoded_value",
            unknown_value=-1,
            max_categories=features.max_categories,
        )
    grouped = features.max_categories is not None
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist" if grouped else "ignore",
        max_categories=features.max_categories,
    )


def _number_encoder(features: FeatureSet, encoding: Encoding) -> Any:
    if encoding != "one_hot":
        return "passthrough"
    # a column may be empty in one fold: it must keep its place
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler())]) if features.scale else fill
