"""Any number of texts, translated in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # comparing runs imports this module, and needs no TensorFlow
    from keras_attn.text_to_text import TextToText
    from keras_attn.visualize import Alignment


def translate_all(
    text_to_text: Callable[[list[str]], list[str]], texts: Sequence[str], batch_size: int = 64
) -> list[str]:
    """Translates any number of texts, those of similar length together.

    Returns:
        A list of strings in the order of `texts`.
    """
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    translations = [""] * len(texts)
    for begin in range(0, len(order), batch_size):
        chosen = order[begin : begin + batch_size]
        translated = text_to_text([texts[index] for index in chosen])
        for index, text in zip(chosen, translated, strict=True):
            translations[index] = text
    return translations


def align_all(text_to_text: TextToText, texts: Sequence[str], batch_size: int = 64) -> list[Alignment]:
    """Translates any number of texts and keeps the attention weights, whose memory grows with the batch.

    Returns:
        A `keras_attn.visualize.Alignment` per text, whose `target_text` is the translation.
    """
    from keras_attn.visualize.alignment import from_arrays

    examples = []
    for begin in range(0, len(texts), batch_size):
        batch = texts[begin : begin + batch_size]
        arrays = {name: tensor.numpy() for name, tensor in text_to_text.translate_and_align(batch).items()}
        examples += from_arrays(batch, arrays["text"], arrays)
    return examples
