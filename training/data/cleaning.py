"""Training pairs that teach nothing, or the wrong thing, left out and counted."""

from collections.abc import Callable, Iterable

from keras_attn.training.data.pairs import Pair
from keras_attn.training.recipe.recipe import Cleaning


def clean_pairs(pairs: Iterable[Pair], options: Cleaning) -> tuple[list[Pair], dict[str, int]]:
    """Leaves out pairs by the rules of a recipe.

    Lengths are counted in characters other than spaces: words would have to be told apart first, which
    Chinese, Japanese and Thai do not do by spaces, and tokens would need the tokenizer that is trained on
    what is left. A ratio that fits German to English (some 2 to 3) does not fit English to Korean, whose
    text has half the characters.

    Args:
        pairs: `(source, target)`.
        options: the `[data.cleaning]` section.

    Returns:
        The pairs that stay, in their order, and how many were left out, by reason: a pair counts for the
        first one of too long, ratio, identical, duplicates. A reason that no option asks about is not in it.

    >>> clean_pairs([("a", "b"), ("a", "b"), ("c", "c")], Cleaning(duplicates=True, identical=True))
    ([('a', 'b')], {'identical': 1, 'duplicates': 1})
    """
    ratio, longest = options.max_length_ratio, options.max_characters
    rules: dict[str, Callable[[Pair], bool]] = {}
    if longest:
        rules[f"longer than {longest} characters"] = lambda pair: _lengths(pair)[1] > longest
    if ratio:
        rules[f"ratio > {ratio:g}"] = lambda pair: _length_ratio(pair) > ratio
    if options.identical:
        rules["identical"] = lambda pair: pair[0].split() == pair[1].split()
    if options.duplicates:
        rules["duplicates"] = _Repeated()
    kept, counts = [], dict.fromkeys(rules, 0)
    for pair in pairs:
        reason = next((reason for reason, rule in rules.items() if rule(pair)), None)
        if reason is None:
            kept.append(pair)
        else:
            counts[reason] += 1
    return kept, counts


def cleaning_account(kept: int, counts: dict[str, int]) -> str:
    """One line that says what became of the pairs.

    >>> cleaning_account(28945, {"empty": 12, "duplicates": 40, "ratio > 9": 3})
    '29,000 pairs read: 12 empty, 40 duplicates, 3 ratio > 9; 28,945 kept'
    """
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
    return f"{kept + sum(counts.values()):,} pairs read: {reasons}; {kept:,} kept"


class _Repeated:
    """Whether a pair was asked about before."""

    def __init__(self):
        self._seen = set()

    def __call__(self, pair: Pair) -> bool:
        repeated = pair in self._seen
        self._seen.add(pair)
        return repeated


def _length_ratio(pair: Pair) -> float:
    shorter, longer = _lengths(pair)
    return longer / max(shorter, 1)


def _lengths(pair: Pair) -> tuple[int, int]:
    """Characters of the shorter and of the longer side."""
    shorter, longer = sorted(len("".join(text.split())) for text in pair)
    return shorter, longer
