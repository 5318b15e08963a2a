"""The three sets of pairs that a recipe describes, as text and as ids."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_attn.text import ByteTokenizer, CharacterTokenizer, SentencePieceTokenizer, WordTokenizer

from .cleaning import clean_pairs, cleaning_account
from .pairs import read_pairs
from .section import RecipeError
from .split import split_pairs
from .text_files import DataError, shown

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


def load_corpus(recipe, report=lambda line: None):
    """Reads the pairs of a recipe; holds validation and test pairs out of `train` where they are not given.

    Only what is left to train on is cleaned (`[data.cleaning]`): scores are of all pairs there are.

    Args:
        recipe: a `Recipe`.
        report: called with one line on what was left out.

    Returns:
        `PairsSplit` of train, validation and test; the same one each time.

    Raises:
        DataError: for files that cannot be used, or if nothing is left to train on.
    """
    data = recipe.data
    train = read_pairs(data.train, data.folder)
    given = {
        name: read_pairs(spec, data.folder).pairs
        for name, spec in (("validation", data.validation), ("test", data.test))
        if spec
    }
    held_out = split_pairs(
        train,
        0 if data.validation else data.validation_size,
        0 if data.test else data.test_size,
        data.split_seed,
    )
    kept, counts = clean_pairs(held_out.train, data.cleaning)
    moved = len(train) - len(held_out.train)
    counts = {"empty": train.dropped_empty, **({"held out": moved} if moved else {}), **counts}
    report(f"Training data: {cleaning_account(len(kept), counts)}")
    corpus = held_out._replace(train=kept, **given)
    for name in ("train", "validation", "test"):
        if not getattr(corpus, name):
            raise DataError(
                f"The recipe leaves no pair for `data.{name}`. Give it a section or a larger size"
                f"{', or clean less' if name == 'train' else ''}."
            )
    return corpus


def load_part(recipe, part):
    """The pairs of one part alone; the training pairs are read only where the part is held out of them.

    Args:
        recipe: a `Recipe`.
        part: "test" or "validation".

    Returns:
        A list of (source, target), the same as in `load_corpus`.
    """
    spec = getattr(recipe.data, part)
    if spec is None:
        return getattr(load_corpus(recipe), part)
    return read_pairs(spec, recipe.data.folder).pairs


def check_lengths(pairs, tokenizer, limit, part):
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


def train_tokenizers(recipe, pairs):
    """Trains the tokenizers that a recipe asks for.

    Args:
        recipe: a `Recipe`.
        pairs: the training pairs.

    Returns:
        (source tokenizer, target tokenizer); the same object twice where `tokenizer.shared`.
    """
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    if recipe.tokenizer.shared:
        shared = _train_tokenizer(recipe.tokenizer, sources + targets)
        return shared, shared
    return _train_tokenizer(recipe.tokenizer, sources), _train_tokenizer(recipe.tokenizer, targets)


def tokenizers_of_run(recipe, run, pairs):
    """The tokenizers that a run folder holds; trained, and saved there, where it has none yet.

    Args:
        recipe: a `Recipe`.
        run: its `RunFolder`.
        pairs: the training pairs.

    Returns:
        (source tokenizer, target tokenizer).
    """
    tokenizers = run.tokenizers()
    if tokenizers is None:
        tokenizers = train_tokenizers(recipe, pairs)
        run.save_tokenizers(*tokenizers)
    return tokenizers


def encode_pairs(
    pairs, source_tokenizer, target_tokenizer, max_source_length, max_target_length, part="training"
):
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
    left = ([column[index] for index in kept] for column in (pairs, sources, targets))
    return Encoded(*left, dropped_long=len(pairs) - len(kept))


def _train_tokenizer(options, lines):
    if options.kind == "characters":
        return CharacterTokenizer.train(lines, options.vocabulary_size)
    if options.kind == "words":
        return WordTokenizer.train(lines, options.vocabulary_size, options.minimum_count)
    if options.kind == "bytes":
        return ByteTokenizer()
    settings = (
        options.vocabulary_size,
        options.model_type,
        options.character_coverage,
        options.byte_fallback,
    )
    try:
        return SentencePieceTokenizer.train(lines, *settings)
    except RuntimeError as error:  # a vocabulary smaller than the characters, above all
        raise RecipeError(f"cannot be trained. SentencePiece: {error}", "tokenizer") from None


def _encode(tokenizer, texts):
    rows = []
    for begin in range(0, len(texts), _ENCODE_AT_ONCE):
        ids = tokenizer.encode(tf.constant(texts[begin : begin + _ENCODE_AT_ONCE]))
        rows += np.split(ids.values.numpy(), ids.row_splits.numpy()[1:-1])
    return rows
