"""Generated dates: what they look like, that no date leaks, that forms are even."""

import datetime
from collections import Counter

import pytest

from keras_attn.training.data import dates
from keras_attn.training.data.dates import LENGTHS, LOCALES, NUM_DATES, date_text, generate_dates

DAY = datetime.date(2024, 3, 15)


@pytest.mark.parametrize(
    ("locale", "length", "text"),
    [
        ("en_US", "short", "<en_US> 3/15/24"),
        ("en_GB", "long", "<en_GB> 15 March 2024"),
        ("de", "full", "<de> Freitag, 15. März 2024"),
        ("fr", "medium", "<fr> 15 mars 2024"),
        ("es", "long", "<es> 15 de marzo de 2024"),
        ("ja", "full", "<ja> 2024年3月15日金曜日"),
        ("ko", "full", "<ko> 2024년 3월 15일 금요일"),
        ("ko", "short", "<ko> 24. 3. 15."),
        ("zh", "long", "<zh> 2024年3月15日"),
        ("ru", "short", "<ru> 15.03.2024"),
    ],
)
def test_date_text(locale, length, text):
    assert date_text(DAY, locale, length) == text


def test_every_space_is_plain_and_marks_are_gone(monkeypatch):
    written = "\u200f15\u202f\u00a0March\u2009\u20662024\u2069\u200e"
    monkeypatch.setattr(dates, "format_date", lambda *_: written)
    assert date_text(DAY, "en_GB", "long") == "<en_GB> 15 March 2024"


def test_joiners_are_part_of_the_spelling():
    assert "\u200c" in date_text(datetime.date(2024, 10, 15), "fa", "full")


def test_no_space_but_the_plain_one_in_many_locales():
    for locale in ("fr_CA", "ru", "uk", "ar", "he", "fa", "vi", "th", "ks"):
        for length in LENGTHS:
            text = date_text(DAY, locale, length)
            assert [mark for mark in text if mark.isspace() and mark != " "] == []
            assert not {"\u200e", "\u200f", "\u202f"} & set(text)


def test_parts_share_no_date():
    split = generate_dates(train_size=3001, test_size=211, seed=3)
    train, validation, test = ({target for _, target in part} for part in split)
    assert [len(part) for part in split] == [3001, 211, 211]
    assert len(test) == len(validation) == 211
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_sources_say_what_targets_say():
    for source, target in generate_dates(train_size=97, test_size=89).train:
        locale = source[1 : source.index(">")]
        date = datetime.date.fromisoformat(target)
        assert source in {date_text(date, locale, length) for length in LENGTHS}


def test_forms_are_even(monkeypatch):
    forms = []
    monkeypatch.setattr(dates, "date_text", lambda date, *form: forms.append(form) or "")
    generate_dates(train_size=1, test_size=5 * 32, seed=7)
    counts = Counter(forms[-5 * 32 :])
    assert len(counts) == len(LOCALES) * len(LENGTHS) == 32
    assert set(counts.values()) == {5}


def test_seed_decides():
    assert generate_dates(41, 13, seed=5) == generate_dates(41, 13, seed=5)
    assert generate_dates(41, 13, seed=5) != generate_dates(41, 13, seed=6)


def test_first_pairs_stay_what_they_are():
    assert generate_dates(2, 2).test == [
        ("<en_US> 3/14/25", "2025-03-14"),
        ("<en_US> Oct 4, 1985", "1985-10-04"),
    ]


def test_dates_repeat_in_another_form_only():
    most_test = (NUM_DATES - 1) // 2
    left = NUM_DATES - 2 * most_test
    split = generate_dates(train_size=4 * left, test_size=most_test, locales=["ko"])
    assert len(set(split.train)) == len(split.train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((datetime.date(2070, 1, 1), "ko", "full"), "`date` must be .* Received: 2070-01-01"),
        ((DAY, "ko", "tiny"), "`length` is unknown. Expected one of short, .* Received: 'tiny'"),
        ((DAY, "en-US", "full"), "`locale` is unknown.* Received: 'en-US'. Did you mean 'en_US'"),
        ((DAY, "ünknöwn!", "full"), r"`locale` is unknown.* Received: 'ünknöwn!'\.$"),
    ],
)
def test_date_text_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        date_text(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"locales": "ko"}, "`locales` must be a sequence"),
        ({"locales": ()}, "`locales` must be a sequence"),
        ({"locales": ("ko", "de", "ko")}, "`locales` must not repeat.* Received: ko, de, ko"),
        ({"locales": ("ko", "jaa")}, "`locale` is unknown.* Did you mean"),
        ({"train_size": 0}, "`train_size` must be an integer of at least 1. Received: 0"),
        ({"test_size": 2.5}, "`test_size` must be an integer of at least 1. Received: 2.5"),
        ({"seed": None}, "`seed` must be an integer of at least 0. Received: None"),
        ({"test_size": 18_263}, "`test_size` is too large.* Expected at most 18262. Received: 18263"),
        ({"train_size": 10**7}, "`train_size` is too large.* Expected at most 1040800"),
    ],
)
def test_generate_dates_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        generate_dates(**arguments)
