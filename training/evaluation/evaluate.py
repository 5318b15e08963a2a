"""Translates held-out pairs and scores the result with sacreBLEU."""

import time

import sacrebleu

from keras_attn.training.evaluation.translation import translate_all


def evaluate(text_to_text, pairs, tokenize="13a", batch_size=64):
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


def corpus_scores(translations, references, tokenize="13a"):
    """Compares translations with references.

    Args:
        translations: list of strings.
        references: likewise, aligned.
        tokenize: sacreBLEU's tokenizer.

    Returns:
        A dictionary of `bleu`, `chrf`, `exact_match` and the signatures; see `evaluate`.
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


def bleu_metric(tokenize):
    """sacreBLEU's metric; whoever asks for no tokenizer needs no warning that the text is tokenized."""
    return sacrebleu.BLEU(tokenize=tokenize, force=tokenize == "none")
