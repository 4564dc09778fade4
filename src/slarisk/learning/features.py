"""What a model sees of a ticket: the feature frame, and its encoding for the model at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import get_tags

from slarisk.errors import InputError
from slarisk.tickets.contract import take_dates, take_text

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from slarisk.config import FeatureSet

UNKNOWN = "Unknown"  # the category of a missing value
_TEXT_WORDS = 300  # the most frequent words of a text field
_LARGEST = 2.0**53  # a float counts whole numbers up to here; forests refuse much larger ones
_DAY_HOURS, _WEEK_DAYS = 24, 7

Encoding = Literal["one_hot", "native"]
Parts = dict[str, "pd.Series"]


def feature_fields(features: FeatureSet) -> list[str]:
    """The ticket fields that a feature set reads."""
    created = ["created_at"] if features.calendar or features.days_since else []
    fields = [
        *features.categorical,
        *features.text,
        *features.numeric,
        *features.days_since,
        *created,
    ]
    return list(dict.fromkeys(fields))


def feature_names(features: FeatureSet, words: bool = True) -> list[str]:
    """The columns of the feature frame, in order; with or without those of free text."""
    calendar = [name for part in features.calendar for name in _calendar_names(part)]
    since = [f"days_since_{name}" for name in features.days_since]
    text = [_words(name) for name in features.text] if words else []
    return [*features.categorical, *text, *features.numeric, *calendar, *since]


def _words(name: str) -> str:
    # a field may be both, a category and text: its words are a column of their own
    return f"words_{name}"


def check_features(features: FeatureSet, available: set[str]) -> None:
    """Refuse a feature set that is empty, repeats itself or names fields the data does not have."""
    missing = [name for name in feature_fields(features) if name not in available]
    if missing:
        raise InputError(
            f"features={features.name} needs the field {', '.join(missing)}, which the data policy "
            "does not map (data.columns)."
        )
    for part in features.calendar:
        _calendar_names(part)
    names = feature_names(features)
    if not names:
        raise InputError(f"features={features.name} names no feature at all.")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"features={features.name} has two features of the name {', '.join(repeated)}. "
            "List each once, under categorical, numeric or calendar."
        )


def check_types(tickets: pd.DataFrame, features: FeatureSet) -> None:
    """Refuse training tickets whose fields are not of the kind the feature set takes them for.

    Raises
    ------
    InputError
        A numeric field holds only text, or dates; or days are to be counted since a field that is
        no date.
    """
    for name in features.numeric:
        present = tickets[name].dropna() if name in tickets else pd.Series(dtype="str")
        if _holds_dates(present):
            raise InputError(
                f"the field {name!r} is a numeric feature, but holds dates. List it under "
                "features.days_since."
            )
        if len(present) and read_numbers(tickets, name).isna().all():
            raise InputError(
                f"the field {name!r} is a numeric feature, but holds text, such as "
                f"{present.iloc[0]!r}. List it under features.categorical."
            )
    for name in features.days_since:
        if not _holds_dates(take_dates(tickets, name)):
            raise InputError(
                f"features.days_since: the field {name!r} holds no dates. List it under data.dates."
            )


def _holds_dates(values: pd.Series) -> bool:
    return pd.api.types.is_datetime64_any_dtype(values)


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
    columns: Parts = {}
    for name in features.categorical:
        columns[name] = take_text(tickets, name).fillna(UNKNOWN)
    for name in features.text:
        columns[_words(name)] = take_text(tickets, name).fillna("")
    for name in features.numeric:
        columns[name] = read_numbers(tickets, name)
    created = take_dates(tickets, "created_at")
    for part in features.calendar:
        columns |= _calendar(created, part)
    for name in features.days_since:
        days = (created - take_dates(tickets, name)).dt.total_seconds() / 86400
        columns[f"days_since_{name}"] = days.astype(float)
    return pd.DataFrame(columns, index=tickets.index)


def read_numbers(tickets: pd.DataFrame, name: str) -> pd.Series:
    """Read a field as floats; what is not a number, or beyond 2**53, becomes NaN."""
    if name not in tickets:
        return pd.Series(np.nan, index=tickets.index)
    numbers = pd.to_numeric(tickets[name], errors="coerce").astype(float)
    return numbers.where(numbers.abs() <= _LARGEST)


def _calendar_names(part: str) -> list[str]:
    if part in {"hour", "weekday", "weekend", "month"}:
        return [part]
    if part in {"hour_cyclic", "weekday_cyclic"}:
        unit = part.removesuffix("_cyclic")
        return [f"{unit}_sin", f"{unit}_cos"]
    raise InputError(
        f"features.calendar: {part!r} is not one of hour, weekday, weekend, month, hour_cyclic, "
        "weekday_cyclic."
    )


def _calendar(created: pd.Series, part: str) -> Parts:
    weekday = created.dt.day_of_week.astype(float)
    match part:
        case "hour":
            return {"hour": created.dt.hour.astype(float)}
        case "weekday":
            return {"weekday": weekday}
        case "weekend":
            return {"weekend": (weekday >= 5).astype(float).where(weekday.notna())}
        case "month":
            return {"month": created.dt.month.astype(float)}
        case "hour_cyclic":
            return _cycle("hour", (created.dt.hour + created.dt.minute / 60) / _DAY_HOURS)
        case _:
            return _cycle("weekday", (weekday + created.dt.hour / _DAY_HOURS) / _WEEK_DAYS)


def _cycle(unit: str, share: pd.Series) -> Parts:
    angle = 2 * np.pi * share.astype(float)
    waves = (("sin", np.sin(angle)), ("cos", np.cos(angle)))
    return {f"{unit}_{name}": pd.Series(wave, angle.index) for name, wave in waves}


def encoding_for(estimator: BaseEstimator) -> Encoding:
    """What an estimator needs: native categories if it knows them, one-hot columns otherwise."""
    known = {"categorical_feature", "categorical_features"}
    is_lightgbm = type(estimator).__module__.startswith("lightgbm.")
    return "native" if is_lightgbm or known & set(estimator.get_params()) else "one_hot"


def takes_sparse(estimator: BaseEstimator) -> bool:
    """Whether an estimator can be fitted on a sparse matrix, which most indicator columns make."""
    return bool(get_tags(estimator).input_tags.sparse)


def make_encoder(
    features: FeatureSet, encoding: Encoding, sparse: bool = True
) -> ColumnTransformer:
    """Build the (unfitted) encoder of a feature frame; categories come first.

    ``one_hot``: indicator columns, numbers with gaps filled by the median and scaled to unit
    variance (unless ``features.scale`` is off). ``native``: category codes, with -1 for an unseen
    category, and numbers as they are. The matrix is sparse where that is smaller, and ``sparse``.
    """
    numbers = [name for name in feature_names(features) if name not in _worded(features)]
    steps: list[tuple[str, Any, Any]] = []
    if features.categorical:
        steps.append(("categories", _category_encoder(features, encoding), features.categorical))
    if numbers:
        steps.append(("numbers", _number_encoder(features, encoding), numbers))
    steps += [(_words(name), _word_encoder(), _words(name)) for name in features.text]
    dense = {"sparse_threshold": 0.0} if encoding == "native" or not sparse else {}
    return ColumnTransformer(steps, **dense)


def _worded(features: FeatureSet) -> set[str]:
    return {*features.categorical, *(_words(name) for name in features.text)}


def _word_encoder() -> TfidfVectorizer:
    return TfidfVectorizer(max_features=_TEXT_WORDS, sublinear_tf=True, stop_words="english")


def wordless(frame: pd.DataFrame, features: FeatureSet) -> list[str]:
    """Name the text fields of a feature frame in which no ticket has a word to learn from."""
    words_of = _word_encoder().build_analyzer()
    return [
        name for name in features.text if not any(words_of(text) for text in frame[_words(name)])
    ]


def _category_encoder(features: FeatureSet, encoding: Encoding) -> BaseEstimator:
    if encoding == "native":
        return OrdinalEncoder(
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
    if encoding == "native":
        return "passthrough"
    # a column may be empty in one fold: it must keep its place
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([("fill", fill), ("scale", StandardScaler())]) if features.scale else fill
