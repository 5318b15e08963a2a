"""How far a model of dates gets beyond what it has seen: other dates, centuries, patterns and locales.

    keras-attn demo --run runs/dates
    python tests/benchmarks/dates_unseen.py runs/dates > table.md

Exact match of a run of `keras-attn demo`, in four steps away from its training:

- dates: the test part's dates, which training saw in no form, each in every form of every locale (Babel's
  short, medium, long and full);
- centuries: the same days of other centuries, with four digits of the year;
- patterns: the trained locales' words in an order or with signs that training did not have;
- locales: languages that it was not trained on, behind their own tag and behind the tag "en_GB".
"""

import argparse
import datetime
import random

from babel.dates import format_date

from keras_attn.training.data.dates import FIRST_DATE, LENGTHS, LOCALES, date_text, generate_dates
from keras_attn.training.run.run_folder import RunFolder

CENTURIES = {"1770 to 1869": -200, "1870 to 1969": -100, "2070 to 2169": 100, "2170 to 2269": 200}
PATTERNS = {
    "yyyy-MM-dd": "the answer itself",
    "dd.MM.yyyy": "seen in German, in no other locale",
    "yyyy/MM/dd": "seen in Japanese, in no other locale",
    "d MMM yyyy": "seen in some",
    "MMM d yyyy": "English without its comma",
    "EEEE d MMMM yyyy": "seen in some",
    "yyyy MMMM d": "year first, with the month's name",
    "d MMMM yyyy G": "with the era behind it",
}
MOST = 2_000  # what `generate_dates` holds out by default
NEW_LOCALES = ("en_AU", "de_CH", "es_MX", "zh_Hant", "it", "nl", "pt", "sv", "pl", "ru", "tr", "vi")


def main():
    arguments = parse_arguments()
    ask = RunFolder(arguments.run).text_to_text()
    dates = [datetime.date.fromisoformat(iso) for _, iso in generate_dates(test_size=arguments.dates).test]
    seen_forms(ask, dates)
    probes = random.Random(0).sample(dates, min(arguments.probes, len(dates)))
    other_centuries(ask, probes)
    other_patterns(ask, probes)
    other_locales(ask, probes)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="run folder of `keras-attn demo`")
    parser.add_argument(
        "--dates", type=int, default=MOST, help=f"dates never seen, for every form; at most {MOST:,}"
    )
    parser.add_argument("--probes", type=int, default=200, help="dates for each row beyond the first table")
    arguments = parser.parse_args()
    if arguments.dates > MOST:
        parser.error(f"--dates: the demo has held out {MOST:,}. More of them were trained on.")
    return arguments


def seen_forms(ask, dates):
    print(f"**Dates never seen** ({len(dates):,}, each in every form)\n")
    header("locale", *LENGTHS)
    total = right = 0
    for locale in LOCALES:
        counts = [
            count_right(ask, [(date_text(date, locale, length), date) for date in dates])[0]
            for length in LENGTHS
        ]
        row(locale, *(percent(count, len(dates)) for count in counts))
        total, right = total + len(dates) * len(LENGTHS), right + sum(counts)
    print(f"\nAll together: {right:,} of {total:,}, {percent(right, total)}\n")


def other_centuries(ask, probes):
    """Numbers of the year that the model never wrote: its forms are those with four digits of the year."""
    print(f"**Centuries never seen** ({len(probes)} dates, 8 locales, long form)\n")
    header("years", "right", "an answer that is not", "for")
    for name, shift in CENTURIES.items():
        pairs = []
        for date in probes:
            day = 28 if (date.month, date.day) == (2, 29) else date.day
            moved = date.replace(year=date.year + shift, day=day)
            pairs += [(written(moved, locale, "long"), moved) for locale in LOCALES]
        report(ask, name, pairs)


def other_patterns(ask, probes):
    print(f"\n**Patterns never seen in their locale** ({len(probes)} dates, 8 locales)\n")
    header("pattern", "right", "an answer that is not", "for")
    for pattern, remark in PATTERNS.items():
        pairs = [(written(date, locale, pattern), date) for date in probes for locale in LOCALES]
        report(ask, f"`{pattern}` ({remark})", pairs)


def other_locales(ask, probes):
    print(f"\n**Locales never seen** ({len(probes)} dates, medium, long and full form)\n")
    for tag in (None, "en_GB"):
        header("locale" if tag is None else f"locale, tagged {tag}", "right", "an answer that is not", "for")
        for locale in NEW_LOCALES:
            lengths = LENGTHS[1:]
            pairs = [(written(date, locale, length, tag), date) for date in probes for length in lengths]
            report(ask, locale, pairs)
        print()


def written(date, locale, form, tag=None):
    """As `date_text` writes it, of any year and in any pattern."""
    if form in LENGTHS and tag is None and date >= FIRST_DATE and date.year < FIRST_DATE.year + 100:
        return date_text(date, locale, form)
    return f"<{tag or locale}> {' '.join(format_date(date, form, locale).split())}"


def report(ask, name, pairs):
    right, wrong = count_right(ask, pairs)
    example = ("", "") if wrong is None else wrong
    row(name, percent(right, len(pairs)), f"`{example[1]}`", f"`{example[0]}`")


def count_right(ask, pairs):
    """Number of exact answers, and the first question answered otherwise with what came."""
    right, wrong = 0, None
    for begin in range(0, len(pairs), 500):
        part = pairs[begin : begin + 500]
        for (question, date), answer in zip(part, ask([question for question, _ in part]), strict=True):
            if answer == date.isoformat():
                right += 1
            elif wrong is None:
                wrong = question, answer
    return right, wrong


def percent(count, total):
    return f"{100 * count / total:.2f} %"


def header(*names):
    row(*names)
    row(*["---"] * len(names))


def row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
