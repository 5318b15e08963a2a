"""From the arrays of the `align` signature to the examples that the pictures show."""

import numpy as np

from keras_attn.visualize import Alignment


def from_arrays(source_texts, target_texts, arrays):
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
