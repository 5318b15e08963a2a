"""Dates as people write them, in many languages, to learn ISO 8601 from.

A small but honest task for a sequence-to-sequence model: `<ko> 2024년 3월 15일 금요일` is to become
`2024-03-15`. The tag in front names the locale, because `3/4/24` is in March for one reader and in April for
another. Nothing is downloaded: Babel's CLDR tables write the dates.
"""

import datetime
import random
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from typing import NamedTuple

from babel import Locale, localedata
from babel.dates import format_date

LOCALES = ("en_US", "en_GB", "de", "fr", "es", "ja", "ko", "zh")
LENGTHS = ("short", "medium", "long", "full")

# One hundred years, so that the two digits of a short year name exactly one of them.
FIRST_DATE = datetime.date(1970, 1, 1)
LAST_DATE = datetime.date(2069, 12, 31)
NUM_DATES = (LAST_DATE - FIRST_DATE).days + 1

# Invisible marks that steer the layout of right-to-left text and mean nothing in it. Joiners (U+200C, U+200D,
# U+180E) stay: in Persian or Mongolian they are part of how a word is spelt.
_INVISIBLE = dict.fromkeys(
    (0x00AD, 0x061C, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF)
)


class DateSplit(NamedTuple):
    """Pairs of (date as written, ISO 8601 date) in three parts that share no date."""

    train: list[tuple[str, str]]
    validation: list[tuple[str, str]]
    test: list[tuple[str, str]]


def date_text(date: datetime.date, locale: str, length: str) -> str:
    """The date as it is written in a locale, behind a tag that names the locale.

    Every space that Unicode knows becomes a plain one, and invisible direction marks are removed.

    >>> date_text(datetime.date(2024, 3, 15), "ko", "full")
    '<ko> 2024년 3월 15일 금요일'

    Args:
        date: a day from 1970-01-01 to 2069-12-31.
        locale: a name that Babel knows, spelt as Babel spells it (`ko`, `en_US`, `zh_Hant_TW`).
        length: `"short"`, `"medium"`, `"long"` or `"full"`.

    Returns:
        The text that the model reads.

    Raises:
        ValueError: if the date is out of range, or the locale or the length is unknown.
    """
    if not FIRST_DATE <= date <= LAST_DATE:
        raise ValueError(
            f"`date` must be a day that two digits of its year can name. "
            f"Expected {FIRST_DATE} to {LAST_DATE}. Received: {date}."
        )
    if length not in LENGTHS:
        raise ValueError(f"`length` is unknown. Expected one of {', '.join(LENGTHS)}. Received: {length!r}.")
    text = format_date(date, length, _babel_locale(locale)).translate(_INVISIBLE)
    # `split` without an argument knows U+00A0, U+2009, U+202F and all the other spaces.
    return f"<{locale}> {' '.join(text.split())}"


def generate_dates(
    train_size: int = 30_000,
    test_size: int = 2_000,
    seed: int = 0,
    locales: Sequence[str] = LOCALES,
) -> DateSplit:
    """Generates pairs of a written date and its ISO 8601 form.

    A date belongs to one part only: what validation and test ask for was seen in training in no locale and no
    length. Within every part each (locale, length) occurs equally often, or once more than another where the
    size is no multiple. Training takes every date once before it takes one twice, and then in another form.

    Args:
        train_size: number of training pairs.
        test_size: number of test pairs; validation has as many. No date occurs twice in either.
        seed: the same seed, sizes and locales give the same pairs in the same order.
        locales: Babel locale names without repetition.

    Returns:
        `DateSplit(train, validation, test)`, lists of `(source, target)`.

    Raises:
        ValueError: if a size is below 1 or larger than the dates allow, if the seed is no integer, or if a
            locale is unknown or repeated.
    """
    forms = _forms(locales)
    _check_sizes(train_size, test_size, seed, len(forms))
    # Of all that `random` offers, Python promises to keep the results of `random()` alone: sorting by it
    # gives the same order on every version.
    generator = random.Random(seed)
    days = sorted(range(NUM_DATES), key=lambda _: generator.random())
    return DateSplit(
        train=_pairs(days[2 * test_size :], train_size, forms),
        validation=_pairs(days[test_size : 2 * test_size], test_size, forms),
        test=_pairs(days[:test_size], test_size, forms),
    )


def _pairs(days: list[int], size: int, forms: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """`size` pairs: the days in order, again and again, each time in the next form."""
    pairs = []
    for index in range(size):
        round_, place = divmod(index, len(days))
        date = FIRST_DATE + datetime.timedelta(days=days[place])
        locale, length = forms[(place + round_) % len(forms)]
        pairs.append((date_text(date, locale, length), date.isoformat()))
    return pairs


def _forms(locales: Sequence[str]) -> list[tuple[str, str]]:
    """Every (locale, length), after a look at the locales."""
    if isinstance(locales, str) or not locales:
        raise ValueError(
            f"`locales` must be a sequence of at least one locale name. "
            f"Expected e.g. ('ko', 'en_US'). Received: {locales!r}."
        )
    if len(set(locales)) != len(locales):
        raise ValueError(
            f"`locales` must not repeat a name. Expected each once. Received: {', '.join(locales)}."
        )
    for locale in locales:
        _babel_locale(locale)
    return [(locale, length) for locale in locales for length in LENGTHS]


@cache
def _babel_locale(name: str) -> Locale:
    """Babel's locale of exactly this name: one spelling a locale, because the spelling becomes the tag."""
    known = localedata.locale_identifiers()
    if name not in known:
        near = get_close_matches(str(name).replace("-", "_"), known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"`locale` is unknown. Expected a name that Babel knows, such as 'ko' or 'en_US'. "
            f"Received: {name!r}.{hint}"
        )
    return Locale.parse(name)


def _check_sizes(train_size: int, test_size: int, seed: int, num_forms: int) -> None:
    for name, value, least in (("train_size", train_size, 1), ("test_size", test_size, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {value!r}.")
    most_test = (NUM_DATES - 1) // 2
    if test_size > most_test:
        raise ValueError(
            f"`test_size` is too large: test and validation take that many of the {NUM_DATES} dates each. "
            f"Expected at most {most_test}. Received: {test_size}."
        )
    most_train = (NUM_DATES - 2 * test_size) * num_forms
    if train_size > most_train:
        raise ValueError(
            f"`train_size` is too large for different pairs: {NUM_DATES - 2 * test_size} dates are left for "
            f"training, in {num_forms} forms each. Expected at most {most_train}. Received: {train_size}. "
            f"Pass more locales or a smaller `train_size`."
        )
