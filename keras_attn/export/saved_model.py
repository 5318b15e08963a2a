"""Writes a text-to-text model as a version of a TensorFlow Serving model."""

import tensorflow as tf

from keras_attn.export.ops import check_ops
from keras_attn.export.publish import next_version, published


def export(text_to_text, base_path, version=None):
    """Exports a SavedModel with the tokenizer, the decoding loop and the detokenizer inside.

    Signatures: `serving_default` takes `text` (strings `[B]`) and returns `text` (strings `[B]`) and `score`
    (float32 `[B]`); `align` takes the same and returns `source_pieces`, `target_pieces` and `alignment`, as
    `TextToText.align` describes them. Nothing but TensorFlow and tensorflow-text is needed to run it.

    The version is written beside `base_path`, checked, and renamed into it: a server that watches the base
    path never sees half of it, and nothing is left behind when the export fails or is interrupted.

    Args:
        text_to_text: a `keras_attn.text_to_text.TextToText`.
        base_path: the folder that holds the versions of this model.
        version: a whole number; one above the highest in `base_path` when None.

    Returns:
        The path of the new version.

    Raises:
        FileExistsError: if the version is there already.
        UnservableOpError: if the graph holds an op that TensorFlow Serving does not run.
    """
    version = next_version(base_path) if version is None else version
    with published(base_path, version) as (temporary, final):
        tf.saved_model.save(_servable(text_to_text), str(temporary), signatures=_signatures(text_to_text))
        check_ops(temporary)
    return final


def _signatures(text_to_text):
    return {
        "serving_default": text_to_text.translate.get_concrete_function(),
        "align": text_to_text.align.get_concrete_function(),
    }


def _servable(text_to_text):
    """What the SavedModel tracks: raw TensorFlow variables and the tokenizers, not the Keras model.

    A `tf.Module` that holds a Keras 3 model saves copies of its variables, and TensorFlow Serving does not
    find the ones that the functions captured (tensorflow issue 72963).
    """
    module = tf.Module()
    module.weights = [weight.value for weight in text_to_text.model.weights]
    module.tokenizers = [text_to_text.source_tokenizer, text_to_text.target_tokenizer]
    return module
