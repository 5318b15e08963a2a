"""Statistics of the vocabularies of a run on its data."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_attn.protocols import Tokenizer
from keras_attn.tokenizers import special_ids
from keras_attn.training.data.encoded_pairs import Encoded


def vocabulary_statistics(
    tokenizer: Any, texts: Sequence[str], rows: Sequence[np.ndarray], held_out: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Counts of one side of the pairs.

    Args:
        tokenizer: of that side.
        texts: the texts that are trained on.
        rows: their ids, a list of int32 arrays.
        held_out: ids of the validation texts, likewise.

    Returns:
        A dictionary: `kind` and `vocabulary_size`; of the texts trained on `texts`, `words` (as spaces divide
        them), `tokens`, `tokens_per_word`, `mean_length` and `longest` (tokens a text), `ids_used` (different
        ids that occur) and `unknown_rate`; `validation_unknown_rate`. Rates are shares of the tokens.
    """
    ids = _joined(rows)
    words = sum(len(text.split()) for text in texts)
    return {
        "kind": tokenizer.kind,
        "vocabulary_size": tokenizer.vocabulary_size,
        "texts": len(texts),
        "words": words,
        "tokens": len(ids),
        "tokens_per_word": round(len(ids) / max(words, 1), 4),
        "mean_length": round(len(ids) / max(len(texts), 1), 2),
        "longest": max(map(len, rows), default=0),
        "ids_used": len(np.unique(ids)),
        "unknown_rate": _unknown_rate(ids),
        "validation_unknown_rate": _unknown_rate(_joined(held_out)),
    }


def report_vocabularies(
    run: Any,
    tokenizers: tuple[Tokenizer, Tokenizer],
    train: Encoded,
    validation: Encoded,
    report: Callable[[str], object],
) -> None:
    """Writes `vocabulary.json` to a run folder, and reports a line for each side.

    Args:
        run: the `RunFolder`.
        tokenizers: (source, target).
        train: the `Encoded` pairs that are trained on.
        validation: likewise.
        report: called with each line.
    """
    sides = {
        "source": ([pair[0] for pair in train.pairs], train.sources, validation.sources),
        "target": ([pair[1] for pair in train.pairs], train.targets, validation.targets),
    }
    counted = {
        side: vocabulary_statistics(tokenizer, *texts_and_ids)
        for tokenizer, (side, texts_and_ids) in zip(tokenizers, sides.items(), strict=True)
    }
    run.write_text("vocabulary.json", json.dumps(counted, indent=1))
    for side, counts in counted.items():
        report(vocabulary_line(side, counts))


def vocabulary_line(side: str, counts: Mapping[str, Any]) -> str:
    """One line on a side: its `vocabulary_statistics` in words."""
    return (
        f"{side}: {counts['ids_used']:,} of {counts['vocabulary_size']:,} ids used ({counts['kind']}), "
        f"{counts['tokens']:,} tokens, {counts['tokens_per_word']:.2f} a word, longest {counts['longest']}; "
        f"{counts['validation_unknown_rate']:.2%} of validation unknown"
    )


def _joined(rows):
    return np.concatenate([np.zeros(0, np.int32), *rows])


def _unknown_rate(ids):
    return float((ids == special_ids.UNKNOWN).mean()) if len(ids) else 0.0
