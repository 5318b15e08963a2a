"""Requests that check an export: every input of every signature, different from row to row."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_attn.export.service.options import OPTIONS
from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.checks import VerificationError
from keras_attn.export.version_files import EXTRA_PATH
from keras_attn.tokenizers import load_tokenizer as load_saved
from keras_attn.tokenizers import special_ids

# Every third row has a prefix.
_PREFIXES = 3


def example_texts(tokenizer, max_tokens, lengths=(1, 3, 8, 32)):
    """Texts of about so many tokens, made of the vocabulary's own pieces, and one without any.

    Args:
        tokenizer: a `keras_attn.protocols.Tokenizer`.
        max_tokens: none has more.
        lengths: numbers of tokens.

    Returns:
        A list of strings as bytes, shortest first.
    """
    known = range(special_ids.COUNT, max(tokenizer.vocabulary_size, special_ids.COUNT + 1))
    texts = [b""]
    for length in sorted({min(length, max_tokens) for length in lengths}):
        ids = [known[(length + index * 7) % len(known)] for index in range(length)]
        texts.append(_longest(tokenizer, ids, max_tokens))
    return texts


def questions(texts, targets, tokenizers, max_length):
    """Inputs of every signature for some texts, a row each.

    Args:
        texts: strings as bytes.
        targets: strings as bytes, to be scored and aligned, as many; cut where they are too long.
        tokenizers: (source, target) tokenizers of the model.
        max_length: the largest length that the model decodes.

    Returns:
        A dictionary of signature name to a dictionary of input name to array.
    """
    source_tokenizer, target_tokenizer = tokenizers
    count = len(texts)
    targets = [_first_tokens(target_tokenizer, text, max_length - 1) for text in targets]
    starts = [_first_tokens(target_tokenizer, text, min(2, max_length - 1)) for text in targets]
    prefixes = [text if row % _PREFIXES == 1 else b"" for row, text in enumerate(starts)]
    ids = source_tokenizer.encode(tf.constant(texts, tf.string))
    of = {name: _cycled(option, count, max_length) for name, option in OPTIONS.items()}
    of |= {
        "text": _strings(texts),
        "target": _strings(targets),
        "target_prefix": _strings(prefixes),
        "ids": ids.to_tensor(special_ids.PAD).numpy(),
        "lengths": ids.row_lengths().numpy().astype(np.int32),
    }
    return {name: {key: of[key] for key in inputs} for name, inputs in INPUTS.items()}


def load_tokenizer(folder, manifest, side):
    """Loads a tokenizer of an export.

    Args:
        folder: of the version.
        manifest: what `read_manifest` returned.
        side: "source" or "target".

    Returns:
        A `keras_attn.protocols.Tokenizer`.

    Raises:
        VerificationError: where only the graph has it.
    """
    saved = manifest["tokenizers"][side]
    if saved["file"] is None:
        raise VerificationError(
            f"The {side} tokenizer ({saved['kind']}) is only in the graph. Expected a copy beside it to ask "
            "with. Give the class a method `save(path)` that `keras_attn.tokenizers.load_tokenizer` reads."
        )
    return load_saved(Path(folder) / EXTRA_PATH / saved["file"])


def _longest(tokenizer, ids, max_tokens):
    """The text of as many of the ids as give no more than `max_tokens` tokens when they are split anew."""
    for length in range(len(ids), 0, -1):
        text = tokenizer.decode(tf.ragged.constant([ids[:length]], dtype=tf.int32))
        if int(tokenizer.encode(text).row_lengths()[0]) <= max_tokens:
            return text.numpy()[0]
    return b""


def _first_tokens(tokenizer, text, count):
    """The beginning of a text, of at most so many tokens."""
    ids = tokenizer.encode(tf.constant([text]))[0].numpy().tolist()
    return _longest(tokenizer, ids[:count], count)


def _cycled(option, count, max_length):
    """The values that verification tries, one per row."""
    probes = option.probes_of(max_length)
    return np.array([probes[row % len(probes)] for row in range(count)], option.dtype.as_numpy_dtype)


def _strings(texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
