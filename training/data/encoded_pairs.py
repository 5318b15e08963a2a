"""Pairs of texts as ids, with those left out or refused that are too long."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_attn.protocols import Tokenizer
from keras_attn.training.data.pairs import Pair
from keras_attn.training.data.text_files import DataError, shown

_ENCODE_AT_ONCE = 4096


class Encoded(NamedTuple):
    """Pairs as ids.

    Attributes:
        pairs: the texts of those that are left.
        sources: list of int32 arrays.
        targets: list of int32 arrays, aligned.
        dropped_long: number of pairs left out because a side has too many tokens.
    """

    pairs: list
    sources: list
    targets: list
    dropped_long: int


def encode_pairs(
    pairs: Sequence[Pair],
    source_tokenizer: Tokenizer,
    target_tokenizer: Tokenizer,
    max_source_length: int,
    max_target_length: int,
    part: str = "training",
) -> Encoded:
    """Pairs to ids; those with more tokens than allowed are left out and counted.

    Args:
        pairs: list of (source, target).
        source_tokenizer: turns the sources into ids.
        target_tokenizer: turns the targets into ids.
        max_source_length: the largest number of source tokens.
        max_target_length: the largest number of target tokens.
        part: what to call the pairs.

    Returns:
        `Encoded`.
    """
    sources = _encode(source_tokenizer, [source for source, _ in pairs])
    targets = _encode(target_tokenizer, [target for _, target in pairs])
    kept = [
        index
        for index, (source, target) in enumerate(zip(sources, targets, strict=True))
        if len(source) <= max_source_length and len(target) <= max_target_length
    ]
    if not kept:
        raise DataError(
            f"Every {part} pair is longer than `data.max_source_length` = {max_source_length} or "
            f"`data.max_target_length` = {max_target_length} tokens. Raise them, or give other data."
        )
    return Encoded(
        [pairs[index] for index in kept],
        [sources[index] for index in kept],
        [targets[index] for index in kept],
        dropped_long=len(pairs) - len(kept),
    )


def check_lengths(pairs: Sequence[Pair], tokenizer: Tokenizer, limit: int, part: str) -> None:
    """Raises a `DataError` if a source has more tokens than what decodes takes, before anything is decoded.

    Args:
        pairs: list of (source, target).
        tokenizer: of the sources.
        limit: tokens.
        part: what to call the pairs: "test" or "validation".
    """
    lengths = [len(ids) for ids in _encode(tokenizer, [source for source, _ in pairs])]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if lengths[longest] > limit:
        raise DataError(
            f"{sum(length > limit for length in lengths)} {part} sources are longer than {limit} tokens "
            "(`decoding.max_source_length`, or what the model has positions for). The longest, pair "
            f"{longest + 1}, has {lengths[longest]}: {shown(pairs[longest][0])}. Raise the limit, or take "
            "them out."
        )


def _encode(tokenizer, texts):
    rows = []
    for begin in range(0, len(texts), _ENCODE_AT_ONCE):
        ids = tokenizer.encode(tf.constant(texts[begin : begin + _ENCODE_AT_ONCE]))
        rows += np.split(ids.values.numpy(), ids.row_splits.numpy()[1:-1])
    return rows
