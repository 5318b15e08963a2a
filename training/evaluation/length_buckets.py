"""Scores by the length of the source: where long texts fail, a mean hides it."""

from keras_attn.training.evaluation.evaluate import corpus_scores

_CHARACTER_TOKENIZERS = ("char", "zh")


def scores_by_length(pairs, translations, tokenize="13a", width=None):
    """Scores the translations of sources of similar length apart.

    Args:
        pairs: list of (source, reference).
        translations: list of strings, aligned.
        tokenize: sacreBLEU's tokenizer. Length is in words (divided by spaces); in characters where
            it is "char" or "zh".
        width: of a bucket, in words or characters; 10 words or 20 characters when None.

    Returns:
        A list of dictionaries, shortest sources first, empty buckets left out: `from` and `to` (the least and
        the largest length), `pairs`, `bleu`, `chrf`, `exact_match`.

    >>> pairs = [("a b", "x"), ("c", "y"), ("d e f", "z")]
    >>> rows = scores_by_length(pairs, ["x", "y", "no"], width=2)
    >>> [(row["from"], row["to"], row["pairs"], row["exact_match"]) for row in rows]
    [(1, 2, 2, 1.0), (3, 4, 1, 0.0)]
    """
    in_characters = tokenize in _CHARACTER_TOKENIZERS
    width = width or (20 if in_characters else 10)
    buckets = {}
    for index, (source, _) in enumerate(pairs):
        length = len(source if in_characters else source.split())
        buckets.setdefault(max(length - 1, 0) // width, []).append(index)
    rows = []
    for bucket, chosen in sorted(buckets.items()):
        references = [pairs[index][1] for index in chosen]
        scores = corpus_scores([translations[index] for index in chosen], references, tokenize)
        limits = {"from": bucket * width + 1, "to": (bucket + 1) * width, "pairs": len(chosen)}
        rows.append(limits | {name: scores[name] for name in ("bleu", "chrf", "exact_match")})
    return rows
