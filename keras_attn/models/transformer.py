"""The Transformer, encoder and decoder (Vaswani et al. 2017)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_attn.layers import TransformerDecoderBlock, TransformerEncoderBlock
from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.models.seq2seq import Seq2SeqModel
from keras_attn.models.transformer_parts import (
    alignment_of,
    check_alignment,
    make_blocks,
    make_drops,
    make_embedding,
    make_logits,
    make_norm,
    make_positions,
    rewound,
    run_blocks,
    serializable_settings,
    sized_cache,
)
from keras_attn.protocols import Extension, Step
from keras_attn.typing import (
    Activation,
    Count,
    Nested,
    Positions,
    Rate,
    SelfAttentionImplementation,
    Tensor,
)


@keras.saving.register_keras_serializable(package="keras_attn")
class TransformerSeq2Seq(Seq2SeqModel):
    """Self-attention in the encoder; causal self-attention and attention to the encoder in the decoder.

    ```
    x_t    = dropout(sqrt(D) E_s[source_t] + position_t);   memory = encoder blocks (x)
    h_t    = dropout(sqrt(D) E_t[target_t] + position_t);   h      = decoder blocks (h, memory)
    logits = h W_o
    ```

    with a layer normalisation after each stack where `norm_first`. A functional model of `{"source": [B, S],
    "target": [B, T]}` int32 ids, where `target` begins with the start token and id 0 pads; its output is the
    logits `[B, T, V]` in float32. `start` and `step` run the same layers one step at a time
    (`keras_attn.protocols.Decoder`), with cached keys and values.

    Differs from the paper, which shares one table among source, target and output
    (`share_embeddings="all"`): by default there are three. The first numbers are fairseq's: N(0, 1 / D) in
    the tables with zeros for padding, Glorot's uniform ones in the projections.

    Args:
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: V, number of target ids.
        num_encoder_layers: number of encoder blocks.
        num_decoder_layers: number of decoder blocks.
        embedding_dim: D, the width of everything between the blocks.
        num_heads: H.
        hidden_dim: width of the feed-forward layers.
        dropout: rate on the embedded tokens and on the output of every sublayer.
        attention_dropout: rate on the attention weights.
        activation_dropout: rate inside the feed-forward layers.
        norm_first: pre-norm instead of the paper's post-norm.
        activation: of the feed-forward layers.
        positions: `"sinusoidal"` (the paper's), `"learned"`, `"shaw"`, `"t5"`, `"alibi"`, `"rotary"`, or
            None. The last four act in the self-attention.
        position_options: settings of the scheme's class, e.g. `{"max_length": 512}` for `"learned"` (1,024
            by default), `{"layout": "halves"}` for `"sinusoidal"`, `{"max_distance": 8}` for `"shaw"` (16 by
            default).
        share_embeddings: which tables are one: `"none"`; `"inputs"`: source and target; `"target"`: target
            and output; `"all"`: the three.
        embedding_scale: whether the embedded tokens are multiplied by sqrt(D).
        output_bias: whether the logits have a bias.
        num_key_value_heads: Hkv, of all attentions; `num_heads` when None.
        implementation: of the self-attention: `"full"`, `"blockwise"` or `"windowed"`.
        window: for `"windowed"`.
        alignment_layer: the decoder layer whose attention to the source `step` returns, counted from 0, or
            from the end where negative.
        alignment_heads: its heads that the alignment is the mean of, a list of numbers; all when None.
        layer_drop: probability with which a batch goes around a block, in training alone: see `LayerDrop`.
        dtype: dtype policy of the layers; the global one when None.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: for sizes below 1, names that are unknown, or tables that cannot be shared.

    Example:

    >>> import keras, keras_attn
    >>> model = keras_attn.models.TransformerSeq2Seq(
    ...     19, 23, num_encoder_layers=1, num_decoder_layers=1, embedding_dim=6, num_heads=2, hidden_dim=11
    ... )
    >>> ids = {"source": keras.ops.array([[5, 7, 2]]), "target": keras.ops.array([[1, 9]])}
    >>> tuple(model(ids).shape)
    (1, 2, 23)

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        *,
        num_encoder_layers: Count = 6,
        num_decoder_layers: Count = 6,
        embedding_dim: Count = 512,
        num_heads: Count = 8,
        hidden_dim: Count = 2048,
        dropout: Rate = 0.1,
        attention_dropout: Rate = 0.0,
        activation_dropout: Rate = 0.0,
        norm_first: bool = False,
        activation: Activation = "relu",
        positions: Positions | None = "sinusoidal",
        position_options: Mapping[str, Any] | None = None,
        share_embeddings: Literal["none", "inputs", "target", "all"] = "none",
        embedding_scale: bool = True,
        output_bias: bool = False,
        num_key_value_heads: Count | None = None,
        implementation: SelfAttentionImplementation = "full",
        window: Count | None = None,
        alignment_layer: int = -1,
        alignment_heads: Sequence[int] | None = None,
        layer_drop: Rate = 0.0,
        dtype: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(locals())

    @staticmethod
    def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
        """Checks the alignment and the shared tables; see the base class."""
        check_alignment(settings, settings["num_decoder_layers"])
        _check_shared_vocabulary(settings)
        return serializable_settings(settings)

    @staticmethod
    def make_parts(settings: dict[str, Any]) -> dict[str, Any]:
        """Makes the layers of the model, by their role."""
        source, target, output = _make_tables(settings)
        num_layers = settings["num_encoder_layers"], settings["num_decoder_layers"]
        return {
            "source_embedding": source,
            "target_embedding": target,
            "source_positions": make_positions(settings, "source_positions"),
            "target_positions": make_positions(settings, "target_positions"),
            "dropout": keras.layers.Dropout(settings["dropout"], dtype=settings["dtype"], name="dropout"),
            "encoder": make_blocks(TransformerEncoderBlock, settings, num_layers[0], "encoder", causal=False),
            "encoder_drops": make_drops(settings, num_layers[0], "encoder_drop"),
            "encoder_norm": make_norm(settings, "encoder_norm"),
            "decoder": make_blocks(TransformerDecoderBlock, settings, num_layers[1], "decoder", causal=True),
            "decoder_drops": make_drops(settings, num_layers[1], "decoder_drop"),
            "decoder_norm": make_norm(settings, "decoder_norm"),
            "logits": output,
        }

    @staticmethod
    def connect(parts: dict[str, Any], settings: dict[str, Any], source: Tensor, target: Tensor) -> Tensor:
        """Computes the logits `[B, T, V]` of all target positions."""
        memory, mask = _encode(parts, source)
        hidden = parts["target_embedding"](target)
        if parts["target_positions"] is not None:
            hidden = parts["target_positions"](hidden)
        hidden = parts["dropout"](hidden)
        # No mask of the target: padding comes last, where the causal mask hides it.
        hidden = run_blocks(parts["decoder"], parts["decoder_drops"], hidden, memory, memory_mask=mask)
        return _predict(parts, hidden)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output, which the decoder attends to.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            The states `[B, S, D]` of the last block of the encoder, normalised where `norm_first`, and their
            boolean mask `[B, S]`, True = keep.
        """
        return _encode(self._parts, source)

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """Encodes the source and projects it for every layer of the decoder.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            state, leaves `[B, 1, Hkv, 0, E]`, and memory, leaves `[B, ...]`.
        """
        hidden, mask = self.encode(source)
        blocks = self._parts["decoder"]
        memory = {"mask": mask, "layers": [block.prepare_memory(hidden) for block in blocks]}
        return [block.empty_cache(ops.shape(source)[0]) for block in blocks], memory

    def step(self, tokens: Tensor, position: Tensor, state: Nested, memory: Nested) -> Step:
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: of the tokens in the target, from 0; an integer or a scalar tensor.
            state: what `start` or the step before returned, leaves `[B, K, Hkv, t, E]`.
            memory: what `start` returned.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`.
        """
        parts, keep = self._parts, ops.expand_dims(memory["mask"], 1)
        hidden = parts["target_embedding"](tokens)
        if parts["target_positions"] is not None:
            hidden = parts["target_positions"].step(hidden, position)
        caches, weights = [], []
        for block, cache, projected in zip(parts["decoder"], state, memory["layers"], strict=True):
            hidden, cache, of_block = block.step(hidden, position, sized_cache(block, cache), projected, keep)
            caches.append(cache)
            weights.append(of_block)
        return Step(_predict(parts, hidden), caches, alignment_of(self._settings, weights))

    def extend(self, tokens: Tensor, position: Tensor, state: Nested, memory: Nested) -> Extension:
        """Predicts the token after each of n tokens, in one pass: the same as n calls of `step`.

        Args:
            tokens: int32 ids `[B, K, n]`.
            position: of the first of them in the target, from 0; an integer or a scalar tensor.
            state: what `start`, `step` or `rewind` returned, leaves `[B, K, Hkv, t, E]`.
            memory: what `start` returned.

        Returns:
            An `Extension` of logits `[B, K, n, V]`, what `rewind` takes, and the alignment `[B, K, n, S]`.
        """
        parts, keep = self._parts, ops.expand_dims(memory["mask"], 1)
        hidden = parts["target_embedding"](tokens)
        if parts["target_positions"] is not None:
            hidden = parts["target_positions"](hidden, start_position=position)
        caches, weights = [], []
        for block, cache, projected in zip(parts["decoder"], state, memory["layers"], strict=True):
            cache = sized_cache(block, cache)
            hidden, cache, of_block = block.extend(hidden, position, cache, projected, keep)
            caches.append(cache)
            weights.append(of_block)
        extended = {"caches": caches, "num_tokens": ops.shape(tokens)[2]}
        return Extension(_predict(parts, hidden), extended, alignment_of(self._settings, weights))

    def rewind(self, extended: Nested, count: Tensor) -> Nested:
        """The state after some of the tokens that `extend` was given.

        Args:
            extended: of the `Extension` that `extend` returned.
            count: how many of the n tokens stay, 0 to n; an integer or a scalar tensor.

        Returns:
            A state, leaves `[B, K, Hkv, t + count, E]`.
        """
        return rewound(self._parts["decoder"], extended, count)


def _check_shared_vocabulary(settings):
    share = settings["share_embeddings"]
    source, target = settings["source_vocabulary_size"], settings["target_vocabulary_size"]
    if share in ("inputs", "all") and source != target:
        raise ValueError(
            f"share_embeddings={share!r} gives source and target one table. Expected one vocabulary. "
            f"Received: {source} source ids and {target} target ids. Share the tokenizer too, or use "
            "share_embeddings='target'."
        )


def _make_tables(settings):
    """Source embedding, target embedding and output; which of them are one is the user's choice."""
    source_size, target_size = (settings[f"{side}_vocabulary_size"] for side in ("source", "target"))
    share = settings["share_embeddings"]
    if share in ("inputs", "all"):
        target = source = make_embedding(settings, target_size, "embedding", with_logits=share == "all")
    else:
        source = make_embedding(settings, source_size, "source_embedding")
        target = make_embedding(settings, target_size, "target_embedding", with_logits=share == "target")
    output = None if share in ("target", "all") else make_logits(settings, target_size)
    return source, target, output


def _encode(parts, source):
    """Source ids to the memory `[B, S, D]` and its mask `[B, S]`."""
    mask = ops.not_equal(source, PAD_ID)
    hidden = parts["source_embedding"](source)
    if parts["source_positions"] is not None:
        hidden = parts["source_positions"](hidden)
    hidden = parts["dropout"](hidden)
    hidden = run_blocks(parts["encoder"], parts["encoder_drops"], hidden, inputs_mask=mask)
    return hidden if parts["encoder_norm"] is None else parts["encoder_norm"](hidden), mask


def _predict(parts, hidden):
    """Outputs of the last decoder block `[.., D]` to logits `[.., V]`."""
    hidden = hidden if parts["decoder_norm"] is None else parts["decoder_norm"](hidden)
    if parts["logits"] is None:
        return parts["target_embedding"](hidden, reverse=True)
    return parts["logits"](hidden)
