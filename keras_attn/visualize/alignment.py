"""An alignment with checked weights, and alignments of decoded texts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np


class Alignment(NamedTuple):
    """Attention of one output.

    Args:
        source_tokens: the S input tokens as text; what is no string is shown as `str` writes it.
        target_tokens: the T output tokens, likewise.
        weights: array-like [T, S], attention weights between 0 and 1, a row an output token.
        source_text: the input as a whole; the tokens stand in where it is empty.
        target_text: the output as a whole; the same.
        score: what the search gave the output, or None.

    Example:

    >>> import numpy as np
    >>> from rich.console import Console
    >>> from keras_attn.visualize import Alignment, alignment_html, alignment_table
    >>> example = Alignment(["ein", "Hund"], ["a", "dog"], np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> page = alignment_html([example])
    >>> Console().print(alignment_table(example))  # doctest: +SKIP
    """

    source_tokens: Sequence[str]
    target_tokens: Sequence[str]
    weights: np.ndarray
    source_text: str = ""
    target_text: str = ""
    score: float | None = None


def checked_weights(example: Alignment) -> np.ndarray:
    """The weights as float64 [T, S] between 0 and 1."""
    expected = (len(example.target_tokens), len(example.source_tokens))
    weights = np.asarray(example.weights, dtype="float64")
    if weights.size == 0 and 0 in expected:
        return weights.reshape(expected)
    if weights.shape != expected:
        raise ValueError(
            f"`weights` do not fit the tokens. Expected shape [T, S] = {expected}, a row for each output "
            f"token. Received: {weights.shape}. Choose one head or average them, and cut off padding."
        )
    # The slack is what half precision loses when it divides.
    if not np.all((weights >= 0) & (weights <= 1.01)):
        raise ValueError(
            f"`weights` must be attention weights. Expected numbers from 0 to 1. Received: "
            f"{weights.min():.4g} to {weights.max():.4g}. Apply the softmax to logits first."
        )
    return weights.clip(0, 1)


def percent_text(weight: float) -> str:
    """The weight in whole percent, a dot for none."""
    percent = math.floor(weight * 100 + 0.5)
    return str(percent) if percent else "·"


def captions(example: Alignment) -> tuple[str, str, str]:
    """Source, target and score as the caption shows them."""
    source = example.source_text or " ".join(map(str, example.source_tokens))
    target = example.target_text or " ".join(map(str, example.target_tokens))
    return source, target, "" if example.score is None else f"{example.score:.4f}"


def from_arrays(
    source_texts: Iterable[str | bytes], target_texts: Iterable[str | bytes], arrays: Mapping[str, np.ndarray]
) -> list[Alignment]:
    """Cuts the padding off each row.

    Args:
        source_texts: strings.
        target_texts: strings (or their UTF-8 bytes).
        arrays: `source_pieces` `[B, S]`, `target_pieces` `[B, T]`, `alignment` `[B, T, S]`, `score` `[B]`.

    Returns:
        A list of `keras_attn.visualize.Alignment`.
    """
    examples = []
    for row, (source_text, target_text) in enumerate(zip(source_texts, target_texts, strict=True)):
        source, target = (_pieces(arrays[f"{side}_pieces"][row]) for side in ("source", "target"))
        weights = np.asarray(arrays["alignment"][row])[: len(target), : len(source)]
        score = float(arrays["score"][row])
        examples.append(Alignment(source, target, weights, _text(source_text), _text(target_text), score))
    return examples


def _pieces(padded):
    """The pieces up to the last; a special id that was decoded among them has no text of its own."""
    count = max((place + 1 for place, piece in enumerate(padded) if len(piece)), default=0)
    return [_text(piece) or "<special>" for piece in padded[:count]]


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
