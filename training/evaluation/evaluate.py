"""Translates held-out pairs and scores the result with sacreBLEU, in all and by length."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import sacrebleu

from keras_attn.training.data.pairs import Pair
from keras_attn.training.evaluation.translation import translate_all
from keras_attn.training.recipe.monitors import SCORES


def evaluate(
    text_to_text: Callable[[list[str]], list[str]],
    pairs: Sequence[Pair],
    tokenize: str = "13a",
    batch_size: int = 64,
) -> tuple[dict[str, Any], list[str]]:
    """Translates the sources and compares with the targets.

    Args:
        text_to_text: a `TextToText`.
        pairs: list of (source, reference).
        tokenize: sacreBLEU's tokenizer: "13a", "char" (where words are not divided by spaces), "none", ...
        batch_size: texts translated at once.

    Returns:
        (scores, translations): `bleu`, `chrf` (both 0 to 100), `exact_match` (0 to 1; all spaces count
        alike, as for most tokenizers), their sacreBLEU signatures, `pairs`, `seconds`; and the translations
        in the order of the pairs.
    """
    began = time.monotonic()
    translations = translate_all(text_to_text, [source for source, _ in pairs], batch_size)
    seconds = time.monotonic() - began
    scores = corpus_scores(translations, [reference for _, reference in pairs], tokenize)
    return {**scores, "pairs": len(pairs), "seconds": round(seconds, 2)}, translations


def corpus_scores(
    translations: Sequence[str], references: Sequence[str], tokenize: str = "13a"
) -> dict[str, Any]:
    """Compares translations with references.

    Args:
        translations: list of strings.
        references: list of strings, aligned.
        tokenize: sacreBLEU's tokenizer.

    Returns:
        A dictionary of the `SCORES` and of their signatures, such as `bleu_signature`; see `evaluate`.
    """
    bleu, chrf = bleu_metric(tokenize), sacrebleu.CHRF()
    pairs = zip(translations, references, strict=True)
    exact = sum(text.split() == reference.split() for text, reference in pairs)
    return {
        "bleu": round(bleu.corpus_score(translations, [references]).score, 2),
        "bleu_signature": str(bleu.get_signature()),
        "chrf": round(chrf.corpus_score(translations, [references]).score, 2),
        "chrf_signature": str(chrf.get_signature()),
        "exact_match": exact / len(references),
    }


def bleu_metric(tokenize: str) -> sacrebleu.BLEU:
    """sacreBLEU's metric; whoever asks for no tokenizer needs no warning that the text is tokenized."""
    return sacrebleu.BLEU(tokenize=tokenize, force=tokenize == "none")


_CHARACTER_TOKENIZERS = ("char", "zh")


def scores_by_length(
    pairs: Sequence[Pair], translations: Sequence[str], tokenize: str = "13a", width: int | None = None
) -> list[dict[str, Any]]:
    """Scores the translations of sources of similar length apart.

    Args:
        pairs: list of (source, reference).
        translations: list of strings, aligned.
        tokenize: sacreBLEU's tokenizer. Length is in words (divided by spaces); in characters where
            it is "char" or "zh".
        width: of a bucket, in words or characters; 10 words or 20 characters when None.

    Returns:
        A list of dictionaries, shortest sources first, empty buckets left out: `from` and `to` (the least and
        the largest length), `pairs` and the `SCORES`.

    >>> pairs = [("a b", "x"), ("c", "y"), ("d e f", "z")]
    >>> rows = scores_by_length(pairs, ["x", "y", "no"], width=2)
    >>> [(row["from"], row["to"], row["pairs"], row["exact_match"]) for row in rows]
    [(1, 2, 2, 1.0), (3, 4, 1, 0.0)]
    """
    in_characters = tokenize in _CHARACTER_TOKENIZERS
    width = width or (20 if in_characters else 10)
    buckets: dict[int, list[int]] = {}
    for index, (source, _) in enumerate(pairs):
        length = len(source if in_characters else source.split())
        buckets.setdefault(max(length - 1, 0) // width, []).append(index)
    rows = []
    for bucket, chosen in sorted(buckets.items()):
        references = [pairs[index][1] for index in chosen]
        scores = corpus_scores([translations[index] for index in chosen], references, tokenize)
        limits = {"from": bucket * width + 1, "to": (bucket + 1) * width, "pairs": len(chosen)}
        rows.append(limits | {name: scores[name] for name in SCORES})
    return rows
