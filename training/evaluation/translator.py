"""From a model and the `[decoding]` section of a recipe to what translates, as it will be served."""

import keras

from keras_attn.decoding import BeamSearch, GNMTLengthPenalty
from keras_attn.protocols import Tokenizer
from keras_attn.text_to_text import TextToText
from keras_attn.training.errors import RunError
from keras_attn.training.recipe.recipe import Decoding
from keras_attn.typing import Model


def make_translator(model: Model, tokenizers: tuple[Tokenizer, Tokenizer], options: Decoding) -> TextToText:
    """The model between its tokenizers, searching as the recipe says.

    Args:
        model: a Keras model with `start` and `step`.
        tokenizers: (source, target).
        options: a `keras_attn.training.recipe.recipe.Decoding`.

    Returns:
        A `TextToText`.

    Raises:
        RunError: on another backend than TensorFlow, whose loop decodes.
    """
    if keras.backend.backend() != "tensorflow":
        raise RunError(
            "Decoding runs on TensorFlow. Expected KERAS_BACKEND=tensorflow. Received: "
            f"{keras.backend.backend()}. Train without training.validation_decoding and "
            "training.tensorboard, and decode the run with TensorFlow."
        )
    strategy = None  # greedy
    if options.beam_size > 1:
        strategy = BeamSearch(options.beam_size, length_penalty=GNMTLengthPenalty(options.length_penalty))
    return TextToText(
        model,
        *tokenizers,
        max_length=options.max_length,
        max_source_length=options.max_source_length,
        strategy=strategy,
    )


def in_float32(model: Model) -> Model:
    """The model itself, or where it computes in lower precision one with the same weights in float32.

    Precision is a matter of training: the variables are float32 in either case.
    """
    config = model.get_config()
    if config.get("dtype", "float32") == "float32":
        return model
    twin = type(model).from_config({**config, "dtype": "float32"})
    copy_weights(model, twin)
    return twin


def copy_weights(model: Model, twin: Model) -> None:
    """Gives `twin` the weights of `model`, of which it is a copy."""
    for weight, other in zip(model.weights, twin.weights, strict=True):
        other.assign(weight)
