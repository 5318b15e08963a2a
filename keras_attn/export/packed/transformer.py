"""A Transformer made ready for fast decoding: the same numbers from fewer operations."""

import copy
import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_attn.export.packed.blocks import PackedCrossAttention, PackedFeedForward, PackedSelfAttention
from keras_attn.export.packed.heads import PackedHeads, PackedRotary
from keras_attn.export.packed.products import (
    PackedDense,
    StoredOnce,
    hidden_logits,
    products_for,
    routed,
    row_ranges,
)
from keras_attn.export.packed.residual import PackedNorm, centred, nothing, weights_of
from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.models import TransformerSeq2Seq
from keras_attn.ops.sinusoids import sinusoids
from keras_attn.protocols import Step
from keras_attn.text_to_text import TextToText
from keras_attn.typing import Nested, Tensor

DTYPES = ("float32", "bfloat16")
_POSITIONS = ("sinusoidal", "learned", "rotary", None)


class PackedTransformer:
    """Decodes as a `TransformerSeq2Seq` does, from a copy of its weights: made at export, for speed alone.

    ```
    norm(x) W + b = n(x) (g W) + (b + o W)                       gain g and offset o are folded
    norm(x) + f(norm(x)) = n(x) g + (f(norm(x)) + o)             post-norm: o comes with the bias of f
    n(x) W + b = (n(x) + 1) (W + (b - 1 W) / D)                  as n(x) has mean 0: float32 adds no b
    ```

    where n(x) has mean 0 and variance 1. Pre-norm, the weights that f ends with are centred, so that x has
    mean 0 all along and n need not take it off. Products are of rows `[B K, D]` with weights that are
    constants of the graph; the memory is projected once and never tiled. With `dtype="float32"` the logits
    are those of the model up to rounding. With `"bfloat16"` products, cache and logits are bfloat16, and the
    residual path, the normalisations and the softmax float32: faster where the processor multiplies bfloat16
    itself (AMX), and with two to three significant digits.

    The keys and values of all K hypotheses of a row lie side by side, as they were written, and the state
    says in which slot each hypothesis was at each step: a beam that drops and copies hypotheses changes
    nothing but these numbers, and the K queries of a row are one product with its t K keys.

    Later changes of the model's weights do not reach it. A `keras_attn.protocols.Decoder`.

    Args:
        model: a `TransformerSeq2Seq`, post- or pre-norm, with sinusoidal, learned, rotary or no positions.
        dtype: `"float32"` or `"bfloat16"`. Default `"float32"`.

    Raises:
        ValueError: for a model that it cannot decode, or another `dtype`.

    Example:

    >>> import keras_attn, tensorflow as tf
    >>> from keras_attn.export.packed.transformer import PackedTransformer
    >>> model = keras_attn.models.TransformerSeq2Seq(
    ...     19, 23, num_encoder_layers=1, num_decoder_layers=1, embedding_dim=6, num_heads=2, hidden_dim=11
    ... )
    >>> packed = PackedTransformer(model)
    >>> state, memory = packed.start(tf.constant([[5, 7, 2]]))
    >>> packed.step(tf.constant([[1]]), 0, state, memory).logits.shape.as_list()
    [1, 1, 23]
    """

    def __init__(self, model: TransformerSeq2Seq, dtype: str = "float32") -> None:
        settings = _settings_of(model, dtype)
        self._width, self._num_heads = settings["embedding_dim"], settings["num_heads"]
        self._alignment = settings["alignment_layer"], settings["alignment_heads"]
        self._target_size = settings["target_vocabulary_size"]
        self._positions = [_positions(model, settings, f"{side}_positions") for side in ("source", "target")]
        self._rotaries = [_rotary(model, settings, side) for side in ("encoder", "decoder")]
        products = products_for(dtype, _weights_of_a_step(model, settings))
        self._norms = [
            _last_norm(model, settings, products, f"{side}_norm") for side in ("encoder", "decoder")
        ]
        self._encoder, affine = _encoder(model, settings, products, self._rotaries[0])
        self._encoded = _last_affine(self._norms[0], affine)
        self._decoder, affine = _decoder(model, settings, products, self._rotaries[1], self._encoded)
        decoded = _last_affine(self._norms[1], affine)
        self._tables, self._logits = _tables(model, settings, products, decoded)

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """Encodes the source and projects it for every layer of the decoder.

        Args:
            source: int32 ids `[B, S]`, padded with 0; every row has at least one that is not 0.

        Returns:
            state and memory.

        Raises:
            tf.errors.InvalidArgumentError: for a row of nothing but padding.
        """
        rows, mask, hidden, heads = self._encode(source)
        memory = {
            "mask": mask,
            "hidden": hidden,
            "layers": [cross.prepare(rows, heads) for _, cross, _ in self._decoder],
        }
        batch = tf.shape(source)[0]
        state = {
            "ancestors": tf.zeros(tf.stack([batch, 1, 0, 1]), tf.int32),
            "caches": [attention.empty_cache(batch) for attention, _, _ in self._decoder],
        }
        return state, memory

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output.

        Args:
            source: as for `start`.

        Returns:
            float32 states `[B, S, D]` and their mask, boolean `[B, S]`.

        Raises:
            tf.errors.InvalidArgumentError: for a row of nothing but padding.
        """
        rows, mask, *_ = self._encode(source)
        rows = self._encoded.applied(rows)
        return tf.reshape(rows, tf.concat([tf.shape(source), [self._width]], axis=0)), mask

    def step(self, tokens: Tensor, position: int | Tensor, state: Nested, memory: Nested) -> Step:
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: of the tokens in the target, from 0; an integer or a scalar tensor.
            state: what `start`, the step before or `reorder` returned.
            memory: what `start` returned.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`.
        """
        batch, live = tf.shape(tokens)[0], tokens.shape[1] or tf.shape(tokens)[1]
        heads = PackedHeads(batch, live, self._num_heads)
        ancestors, hidden = state["ancestors"], None
        if live != 1:  # a single hypothesis has all keys to itself
            ancestors = _with_own_slots(ancestors, batch, live)
            hidden = _hidden_relatives(ancestors, live)
        position = tf.convert_to_tensor(position, tf.int32)
        rows = self._embed(1, tf.reshape(tokens, [-1]), position)  # [B K, D]
        ranges = row_ranges(tokens)
        angles = self._angles(1, position[None])
        caches, weights = [], []
        for layers, cache, projected in zip(self._decoder, state["caches"], memory["layers"], strict=True):
            attention, cross, feed_forward = layers
            rows, cache = attention.step(rows, heads, ranges, hidden, cache, angles)
            rows, of_layer = cross.step(rows, heads, ranges, memory["hidden"], projected)
            rows = feed_forward(rows, ranges)
            caches.append(cache)
            weights.append(of_layer)
        rows = rows if self._norms[1] is None else self._norms[1](rows)
        logits = routed(rows, row_ranges(tokens, of_logits=True), [self._logits], self._logits)
        logits = tf.reshape(logits, [-1, live, self._target_size])  # [B, K, V]
        state = {"ancestors": ancestors, "caches": caches}
        return Step(tf.cast(logits, tf.float32), state, self._align(weights, memory["mask"]))

    def reorder(self, state: Nested, parents: Tensor) -> Nested:
        """Hypothesis k goes on from `parents[k]`, `[B, K]`: no key and no value is moved for it."""
        return {**state, "ancestors": tf.gather(state["ancestors"], parents, batch_dims=1)}

    def _encode(self, source):
        """Rows `[B S, D]`, their mask, what to add to logits, and the `PackedHeads` of the source."""
        mask = _checked_mask(source)
        hidden = hidden_logits(mask)[:, None, None, :]
        batch, length = tf.unstack(tf.shape(source))
        heads = PackedHeads(batch, length, self._num_heads)
        positions = tf.range(length)
        rows = self._embed(0, source, positions)  # [B, S, D]
        angles = self._angles(0, positions)
        rows = tf.reshape(rows, [-1, self._width])  # [B S, D]
        for attention, feed_forward in self._encoder:
            rows = feed_forward(attention(rows, heads, hidden, angles))
        return (rows if self._norms[0] is None else self._norms[0](rows)), mask, hidden, heads

    def _embed(self, side, tokens, positions):
        rows = tf.cast(tf.gather(self._tables[side](), tokens), tf.float32)
        return self._positions[side](rows, positions)

    def _angles(self, side, positions):
        """The angles of all self-attentions of a side, with rotary positions."""
        rotary = self._rotaries[side]
        return None if rotary is None else rotary.angles(positions)

    def _align(self, weights, mask):
        """The mean over the chosen heads of the chosen layer, `[B, K, S]`."""
        layer, heads = self._alignment
        weights = weights[layer] if heads is None else tf.gather(weights[layer], heads, axis=1)
        return tf.where(mask[:, None, :], tf.reduce_mean(weights, axis=1), 0.0)


def packed_text_to_text(text_to_text: TextToText, dtype: str) -> TextToText:
    """The same `TextToText` with its model packed; see `PackedTransformer`."""
    packed = copy.copy(text_to_text)
    model: Any = text_to_text.model
    packed.model = PackedTransformer(model, dtype)
    return packed


def _with_own_slots(ancestors, batch, live):
    """Ancestors `[B, K, t, 1]` to `[B, K, t + 1, 1]`: the hypotheses of this step are in slots 0 to K - 1."""
    own = tf.broadcast_to(tf.range(live)[:, None, None], tf.stack([batch, live, 1, 1]))
    return tf.concat([ancestors, own], axis=2)


def _hidden_relatives(ancestors, live):
    """A term of logits `[B, H, K, t K]`: 0 for keys of a hypothesis' own past, else -1e30."""
    own = tf.equal(ancestors, tf.range(live))  # [B, K, t, K]
    shape = tf.stack([tf.shape(own)[0], 1, live, tf.shape(own)[2] * live])
    return hidden_logits(tf.reshape(own, shape))


def _checked_mask(source):
    """Which ids are no padding; can be had only if every row has one."""
    mask = tf.not_equal(source, PAD_ID)  # [B, S]
    # The model gives such a row zeros, biases left out. To do so here would cost at every step.
    check = tf.debugging.Assert(
        tf.reduce_all(tf.reduce_any(mask, axis=1)),
        [
            "`source` has a row of nothing but padding. Expected at least one id that is not 0, such as the "
            "end token, in every row. Received:",
            source,
        ],
    )
    with tf.control_dependencies([] if check is None else [check]):  # eagerly, it has raised by now
        return tf.identity(mask)


def _settings_of(model, dtype):
    """The settings of a model that can be packed."""
    if dtype not in DTYPES:
        raise ValueError(f"`dtype` is unknown. Expected one of {DTYPES}. Received: dtype={dtype!r}.")
    if not isinstance(model, TransformerSeq2Seq):
        raise ValueError(
            "`model` cannot be packed. Expected a TransformerSeq2Seq. "
            f"Received: {type(model).__name__}. Decode the model itself."
        )
    settings = model.get_config()
    possible = {
        "positions": settings["positions"] in _POSITIONS,
        "num_key_value_heads": settings["num_key_value_heads"] in (None, settings["num_heads"]),
        "window": settings["window"] is None,
    }
    for name in (name for name, fits in possible.items() if not fits):
        raise ValueError(
            f"A model with this `{name}` cannot be packed. Expected positions of {_POSITIONS}, as many key "
            f"as query heads, and no window. Received: {name}={settings[name]!r}. Decode the model itself."
        )
    return settings


def _weights_of_a_step(model, settings):
    layers = sum(block.count_params() for block in _blocks(model, settings, "decoder"))
    return layers + settings["embedding_dim"] * settings["target_vocabulary_size"]


def _blocks(model, settings, side):
    return [model.get_layer(f"{side}_{layer}") for layer in range(settings[f"num_{side}_layers"])]


def _encoder(model, settings, products, rotary):
    """The layers, and the `Affine` that their results lack."""
    layers, affine = [], nothing(settings["embedding_dim"])
    for block in _blocks(model, settings, "encoder"):
        attention = PackedSelfAttention(block.self_attention, affine, products, rotary)
        feed_forward = PackedFeedForward(block.feed_forward, attention.residual.leaving, products)
        affine = feed_forward.residual.leaving
        layers.append((attention, feed_forward))
    return layers, affine


def _decoder(model, settings, products, rotary, memory):
    """The layers, which read what lacks the `Affine` `memory`, and the `Affine` that their results lack."""
    layers, affine = [], nothing(settings["embedding_dim"])
    for block in _blocks(model, settings, "decoder"):
        attention = PackedSelfAttention(block.self_attention, affine, products, rotary)
        cross = PackedCrossAttention(block.cross_attention, attention.residual.leaving, memory, products)
        feed_forward = PackedFeedForward(block.feed_forward, cross.residual.leaving, products)
        affine = feed_forward.residual.leaving
        layers.append((attention, cross, feed_forward))
    return layers, affine


def _last_norm(model, settings, products, name):
    """The normalisation after the layers of a side, which none but pre-norm has."""
    return PackedNorm(model.get_layer(name), True, products) if settings["norm_first"] else None


def _last_affine(norm, affine):
    return affine if norm is None else norm.lacking


def _entering(settings):
    """A function that prepares rows, an array or a tensor, for the first `PackedResidual`."""
    return centred if settings["norm_first"] else lambda rows: rows


def _positions(model, settings, name):
    """A function that adds the positions `[]` or `[T]` to embedded tokens `[..., D]`."""
    if settings["positions"] in (None, "rotary"):
        return lambda rows, positions: rows
    layer, entering = model.get_layer(name), _entering(settings)
    if settings["positions"] == "learned":
        table = StoredOnce(entering(layer.embeddings.numpy()), "float32")
        return lambda rows, positions: rows + tf.gather(table(), positions)
    width, layout = settings["embedding_dim"], layer.layout
    return lambda rows, positions: rows + entering(sinusoids(positions, width, layout))


def _rotary(model, settings, side):
    """The `PackedRotary` of a side's self-attentions, which share one scheme; None for other positions."""
    blocks = _blocks(model, settings, side)
    if settings["positions"] != "rotary" or not blocks:
        return None
    layer = blocks[0].self_attention.sublayer
    return PackedRotary(layer.relative_positions, layer.key_dim)


def _tables(model, settings, products, decoded):
    """The tables of source and target, once where they are shared, and what makes logits.

    `decoded` is the `Affine` that the decoder's rows lack.
    """
    share = settings["share_embeddings"]
    names = ("embedding",) * 2 if share in ("inputs", "all") else ("source_embedding", "target_embedding")
    layers = [model.get_layer(name) for name in names]
    scale = math.sqrt(settings["embedding_dim"]) if settings["embedding_scale"] else 1.0
    tables = [
        StoredOnce(_entering(settings)(layer.embeddings.numpy() * scale), products.dtype)
        for layer in dict.fromkeys(layers)
    ]
    is_tied = share in ("target", "all")
    layer = layers[-1] if is_tied else model.get_layer("logits")
    # A product that takes the table as it lies is slower by up to a half.
    if is_tied:
        size = settings["target_vocabulary_size"]
        bias = np.zeros(size, "float32") if layer.bias is None else layer.bias.numpy()
        kernel = layer.embeddings.numpy().T
    else:
        kernel, bias = weights_of(layer)
    return (tables[0], tables[-1]), PackedDense(*decoded.folded(kernel, bias), products)
