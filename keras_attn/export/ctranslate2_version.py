"""A text-to-text Transformer as a version folder of CTranslate2's."""

import tensorflow as tf

from keras_attn.export.ctranslate2 import to_ctranslate2
from keras_attn.export.versions import check_format, next_version, published
from keras_attn.tokenizers import special_ids

_SPECIAL = {
    special_ids.PAD: "<pad>",
    special_ids.START: "<s>",
    special_ids.END: "</s>",
    special_ids.UNKNOWN: "<unk>",
}


def export_ctranslate2(text_to_text, base_path, version=None):
    """Writes a CTranslate2 model and its tokenizers, whole or not at all.

    A source is given to `ctranslate2.Translator` as its pieces and `</s>`; `vocabulary` says how ids are
    spelt.

    Args:
        text_to_text: a `keras_attn.TextToText` of a `TransformerSeq2Seq`.
        base_path: the folder that holds the versions of this model.
        version: a whole number; one above the highest in `base_path` when None.

    Returns:
        The path of the new version.

    Raises:
        FileExistsError: if the version is there already, or versions of another format are.
        ImportError, ValueError: as `to_ctranslate2`.
    """
    check_format(base_path, "model.bin")
    version = next_version(base_path) if version is None else version
    sides = {"source": text_to_text.source_tokenizer, "target": text_to_text.target_tokenizer}
    longest = 1 + max(text_to_text.max_length, text_to_text.max_source_length)
    with published(base_path, version) as (temporary, final):
        to_ctranslate2(text_to_text.model, *map(vocabulary, sides.values()), temporary, longest)
        for side, tokenizer in sides.items():
            tokenizer.save(temporary / side)
    return final


def vocabulary(tokenizer):
    """The string of every id of a tokenizer: a list, in which the special ids have names of their own."""
    ids = tf.range(tokenizer.vocabulary_size)
    pieces = [piece.decode("utf-8", "surrogateescape") for piece in tokenizer.pieces(ids).numpy()]
    return [_SPECIAL.get(number, piece) for number, piece in enumerate(pieces)]
