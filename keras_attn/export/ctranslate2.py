"""A Transformer of ours as a CTranslate2 model."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from keras_attn.export.versions import check_format, next_version, published
from keras_attn.models import TransformerSeq2Seq
from keras_attn.protocols import Tokenizer
from keras_attn.text_to_text import TextToText
from keras_attn.tokenizers import special_ids
from keras_attn.typing import StrPath

# CTranslate2's names for Keras' activations.
_ACTIVATIONS = {
    "relu": "RELU",
    "gelu": "GELU",
    "silu": "SWISH",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
}
_POSITIONS = ("sinusoidal", "learned", None)
_SIDES = ("source", "target")


def to_ctranslate2(
    model: TransformerSeq2Seq,
    source_vocabulary: list[str],
    target_vocabulary: list[str],
    folder: StrPath,
    *,
    max_length: int = 1024,
) -> Path:
    """Writes a `TransformerSeq2Seq` as a CTranslate2 model, in float32.

    `ctranslate2.Translator(folder)` then gives the same tokens and log-probabilities (tests hold that for
    greedy and beam search); it can quantise the weights as it loads them (`compute_type="int8"`). Its source
    must end as the model's sources do: nothing is added to it.

    Args:
        model: a `TransformerSeq2Seq`, post- or pre-norm, with sinusoidal, learned or no positions.
        source_vocabulary: the string of every source id, a list. All strings differ.
        target_vocabulary: the string of every target id, likewise.
        folder: where to; made if it is not there.
        max_length: number of positions that are written; longer texts are an error in CTranslate2. A table of
            learned positions is written as it is.

    Returns:
        The folder, a `pathlib.Path`.

    Raises:
        ImportError: where CTranslate2 is not installed.
        ValueError: for a model that has what CTranslate2 has not, or vocabularies that do not fit it.
    """
    specs = _import_specs()
    settings = model.get_config() if isinstance(model, TransformerSeq2Seq) else None
    _check(model, settings, dict(zip(_SIDES, (source_vocabulary, target_vocabulary), strict=True)))
    spec = _empty_spec(specs, settings)
    _fill_encoder(spec.encoder, model, settings, max_length)
    _fill_decoder(spec.decoder, model, settings, max_length)
    spec.register_source_vocabulary(list(source_vocabulary))
    spec.register_target_vocabulary(list(target_vocabulary))
    spec.config.layer_norm_epsilon = model.get_layer("encoder_0").epsilon
    spec.config.bos_token = spec.config.decoder_start_token = target_vocabulary[special_ids.START]
    spec.config.eos_token = target_vocabulary[special_ids.END]
    spec.config.unk_token = target_vocabulary[special_ids.UNKNOWN]
    spec.validate()
    spec.optimize()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    return folder


def _import_specs():
    try:
        from ctranslate2 import specs
    except ImportError as error:
        raise ImportError(
            "`to_ctranslate2` needs the package ctranslate2, which is not installed. Expected it in this "
            f"environment. Received: {error}. Install it: pip install ctranslate2"
        ) from error
    return specs


def _check(model, settings, vocabularies):
    """Refuses what CTranslate2's Transformer cannot say."""
    if settings is None:
        raise ValueError(
            "CTranslate2 runs Transformers alone. Expected a TransformerSeq2Seq. "
            f"Received: {type(model).__name__}. Export it as a SavedModel."
        )
    heads = settings["alignment_heads"]
    kept = {
        "positions": settings["positions"] in _POSITIONS,
        "activation": settings["activation"] in _ACTIVATIONS,
        "implementation": settings["implementation"] == "full",
        "num_key_value_heads": settings["num_key_value_heads"] in (None, settings["num_heads"]),
        "alignment_heads": heads is None or list(heads) == list(range(len(heads))),
    }
    for name in (name for name, possible in kept.items() if not possible):
        raise ValueError(
            f"CTranslate2's encoder-decoder has no such `{name}`. Expected positions of {_POSITIONS}, an "
            f"activation of {tuple(_ACTIVATIONS)}, full attention, as many key as query heads, and an "
            f"alignment of the first heads. Received: {name}={settings[name]!r}."
        )
    for side, vocabulary in vocabularies.items():
        size = settings[f"{side}_vocabulary_size"]
        if len(vocabulary) != size or len(set(vocabulary)) != size:
            raise ValueError(
                f"`{side}_vocabulary` does not fit the model. Expected {size} different strings, one "
                f"for each id. Received: {len(vocabulary)}, {len(set(vocabulary))} of them different."
            )


def _empty_spec(specs, settings):
    heads = settings["alignment_heads"]
    return specs.TransformerSpec.from_config(
        (settings["num_encoder_layers"], settings["num_decoder_layers"]),
        settings["num_heads"],
        pre_norm=settings["norm_first"],
        activation=specs.Activation[_ACTIVATIONS[settings["activation"]]],
        alignment_layer=settings["alignment_layer"],
        alignment_heads=settings["num_heads"] if heads is None else len(heads),
    )


def _fill_encoder(spec, model, settings, max_length):
    _fill_embedding(spec, spec.embeddings[0], model, settings, "source", max_length)
    for index, layer in enumerate(spec.layer):
        block = model.get_layer(f"encoder_{index}")
        _fill_self_attention(layer.self_attention, block.self_attention)
        _fill_feed_forward(layer.ffn, block.feed_forward)
    if settings["norm_first"]:
        _fill_norm(spec.layer_norm, model.get_layer("encoder_norm"))


def _fill_decoder(spec, model, settings, max_length):
    _fill_embedding(spec, spec.embeddings, model, settings, "target", max_length)
    for index, layer in enumerate(spec.layer):
        block = model.get_layer(f"decoder_{index}")
        _fill_self_attention(layer.self_attention, block.self_attention)
        _fill_cross_attention(layer.attention, block.cross_attention)
        _fill_feed_forward(layer.ffn, block.feed_forward)
    if settings["norm_first"]:
        _fill_norm(spec.layer_norm, model.get_layer("decoder_norm"))
    if settings["share_embeddings"] in ("target", "all"):
        table = _table(model, settings, "target")
        spec.projection.weight = _numbers(table.embeddings)
        if table.use_bias:
            spec.projection.bias = _numbers(table.bias)
    else:
        _fill_linear(spec.projection, [model.get_layer("logits")])


def _table(model, settings, side):
    shared = settings["share_embeddings"] in ("inputs", "all")
    return model.get_layer("embedding" if shared else f"{side}_embedding")


def _fill_embedding(spec, embeddings_spec, model, settings, side, max_length):
    embeddings_spec.weight = _numbers(_table(model, settings, side).embeddings)
    spec.scale_embeddings = settings["embedding_scale"]
    # CTranslate2 makes sinusoids of its own, in tensor2tensor's layout, where it is given none.
    spec.position_encodings.encodings = _positions(model, settings, side, max_length)


def _positions(model, settings, side, max_length):
    """Positions that the model adds to embedded tokens: `[max_length, D]`."""
    if settings["positions"] is None:
        return np.zeros((max_length, settings["embedding_dim"]), "float32")
    layer = model.get_layer(f"{side}_positions")
    length = layer.max_length if settings["positions"] == "learned" else max_length
    return _numbers(layer(ops.zeros((1, length, settings["embedding_dim"])))[0])


def _fill_self_attention(spec, residual):
    attention = residual.sublayer
    _fill_linear(
        spec.linear[0], [attention.query_projection, attention.key_projection, attention.value_projection]
    )
    _fill_linear(spec.linear[1], [attention.output_projection])
    _fill_norm(spec.layer_norm, residual.normalization)


def _fill_cross_attention(spec, residual):
    attention = residual.sublayer
    _fill_linear(spec.linear[0], [attention.query_projection])
    _fill_linear(spec.linear[1], [attention.key_projection, attention.value_projection])
    _fill_linear(spec.linear[2], [attention.output_projection])
    _fill_norm(spec.layer_norm, residual.normalization)


def _fill_feed_forward(spec, residual):
    _fill_linear(spec.linear_0, [residual.sublayer.hidden])
    _fill_linear(spec.linear_1, [residual.sublayer.output_projection])
    _fill_norm(spec.layer_norm, residual.normalization)


def _fill_norm(spec, layer):
    spec.gamma, spec.beta = _numbers(layer.gamma), _numbers(layer.beta)


def _fill_linear(spec, layers):
    """One product for dense layers that have the same input; CTranslate2's weights are `[out, in]`."""
    spec.weight = np.concatenate([_numbers(layer.kernel).T for layer in layers])
    if layers[0].use_bias:
        spec.bias = np.concatenate([_numbers(layer.bias) for layer in layers])


def _numbers(tensor):
    return np.ascontiguousarray(ops.convert_to_numpy(ops.cast(tensor, "float32")))


_SPECIAL = {
    special_ids.PAD: "<pad>",
    special_ids.START: "<s>",
    special_ids.END: "</s>",
    special_ids.UNKNOWN: "<unk>",
}


def export_ctranslate2(text_to_text: TextToText, base_path: StrPath, *, version: int | None = None) -> Path:
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
        BasePathError: if the version is there already, or versions of another format are.
        ImportError, ValueError: as `to_ctranslate2`.
    """
    check_format(base_path, "model.bin")
    version = next_version(base_path) if version is None else version
    model: Any = text_to_text.model
    sides: dict[str, Any] = {"source": text_to_text.source_tokenizer, "target": text_to_text.target_tokenizer}
    longest = 1 + max(text_to_text.max_length, text_to_text.max_source_length)
    with published(base_path, version) as (temporary, final):
        source, target = map(vocabulary, sides.values())
        to_ctranslate2(model, source, target, temporary, max_length=longest)
        for side, tokenizer in sides.items():
            tokenizer.save(temporary / side)
    return final


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The string of every id of a tokenizer: a list, in which the special ids have names of their own."""
    ids = tf.range(tokenizer.vocabulary_size)
    pieces = [piece.decode("utf-8", "surrogateescape") for piece in tokenizer.pieces(ids).numpy()]
    return [_SPECIAL.get(number, piece) for number, piece in enumerate(pieces)]
