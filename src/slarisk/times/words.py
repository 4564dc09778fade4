"""Names of months and halves of the day in the languages that ticket systems write them in."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import pandas as pd

_ENGLISH = ["January", "February", "March", "April", "May", "June", "July", "August", "September"]
_ENGLISH += ["October", "November", "December"]
# Of each language, January to December: what every usual spelling of a month begins with, accents
# aside. A name that is another month in another language (lipiec, listopad) has its own letters.
_BEGINNINGS = """
en: jan feb mar apr may jun jul aug sep oct nov dec
de: jan feb mar apr mai jun jul aug sep okt nov dez
fr: janv fev mars avr mai juin juil aou sept oct nov dec
es: ene feb mar abr may jun jul ago sep oct nov dic
pt: jan fev mar abr mai jun jul ago set out nov dez
it: gen feb mar apr mag giu lug ago set ott nov dic
nl: jan feb mrt apr mei jun jul aug sep okt nov dec
sv: jan feb mar apr maj jun jul aug sep okt nov dec
tr: oca sub mar nis may haz tem agu eyl eki kas ara
pl: sty lut mar kwi maj cze lip sie wrz paz lis gru
ru: янв фев мар апр мая июн июл авг сен окт ноя дек
"""
_OTHER = {"maart": 3, "mars": 3, "marz": 3, "mrz": 3, "май": 5, "enero": 1, "juli": 7, "juni": 6}
_WORD = re.compile(r"[^\W\d_]+\.?")
_AM = {"am", "vm", "vorm", "上午", "午前", "오전", "πμ", "öö", "fm", "дп", "ص"}
_PM = {"pm", "nm", "nachm", "下午", "午後", "오후", "μμ", "em", "пп", "م"}
# "a. m.", "p.m.", "A M": letters of one half of the day, with points and spaces between
_HALF = re.compile(r"(?<![^\W\d_])([aApP])\.?\s?[mM](?:\.|(?![^\W\d_]))")


def fold(text: str) -> str:
    """Write letters without their accents, in lower case; other alphabets keep theirs.

    Examples
    --------
    >>> fold("Março"), fold("мая")
    ('marco', 'мая')
    """
    kept = []
    for letter in text.casefold():
        plain = unicodedata.normalize("NFKD", letter)
        kept.append(plain[0] if plain and plain[0].isascii() else letter)
    return "".join(kept)


@lru_cache
def _month_beginnings() -> dict[str, int]:
    found: dict[str, int] = dict(_OTHER)
    for line in _BEGINNINGS.strip().splitlines():
        for month, beginning in enumerate(line.split()[1:], start=1):
            found.setdefault(beginning, month)
    return found


@lru_cache(maxsize=4096)
def find_month(word: str) -> int | None:
    """Give the number of the month that a word names, in any of the languages; or None.

    Examples
    --------
    >>> [find_month(each) for each in ("März", "juil.", "Dez", "lug", "октября", "Montag")]
    [3, 7, 12, 7, 10, None]
    """
    name = fold(word.rstrip("."))
    beginnings = _month_beginnings()
    for length in range(len(name), 2, -1):
        if name[:length] in beginnings:
            return beginnings[name[:length]]
    return None


@lru_cache(maxsize=65536)
def _translate(text: str, full_months: bool, months: bool, halves: bool) -> str:
    if halves:
        text = _HALF.sub(lambda match: f"{match.group(1).upper()}M", text)

    def replace(match: re.Match[str]) -> str:
        word = match.group()
        plain = fold(word.replace(".", ""))
        if halves and plain in _AM | _PM:
            return "AM" if plain in _AM else "PM"
        number = find_month(word) if months else None
        if number is None:
            return word
        name = _ENGLISH[number - 1]
        return name if full_months else name[:3]

    return _WORD.sub(replace, text)


def translate_words(text: pd.Series, date_format: str) -> pd.Series:
    """Write the names of months, and AM and PM, in English, where a date format has them.

    Examples
    --------
    >>> written = pd.Series(["2. März 2026 9:05 p. m."], dtype="str")
    >>> translate_words(written, "%d. %B %Y %I:%M %p").tolist()
    ['2. March 2026 9:05 PM']
    """
    full = "%B" in date_format
    months = full or "%b" in date_format or "%h" in date_format
    halves = "%p" in date_format
    if not months and not halves:
        return text
    return text.map(
        lambda value: _translate(value, full, months, halves), na_action="ignore"
    ).astype("str")
