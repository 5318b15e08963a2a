"""The Transformer without an encoder: one sequence, each token predicted from those before it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
from keras import ops

from keras_attn.layers import TransformerEncoderBlock
from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.models.prompt import (
    AfterPrompt,
    PromptedSequence,
    align_left,
    align_right,
    mask_and_positions,
    some_places,
)
from keras_attn.models.seq2seq import Seq2SeqModel, fitting
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
class TransformerLanguageModel(Seq2SeqModel):
    """A stack of causal self-attention over one sequence: a source (the prompt), then a target.

    ```
    sequence = source_1 ... source_n target_1 ... target_T
    h        = blocks(dropout(sqrt(D) E[sequence] + position))     each place sees those up to its own
    logits_t = h_{n + t} W_o
    ```

    with a layer normalisation after the stack where `norm_first`. A functional model of `{"source": [B, S],
    "target": [B, T]}` int32 ids like the encoder-decoder models, so that it trains and decodes with all that
    they do: `target` begins with the start token, which here divides prompt and continuation, and id 0 pads
    the source at its end or its front, the target at its end.
    The output is the logits of the target's places `[B, T, V]` in float32. A source of length 0, or of
    nothing but padding, makes it a plain language model of the target; a text that such a model is to go on
    with is a `keras_attn.decoding.TargetPrefix`. `start` runs the prompt once and keeps its keys and values;
    `step` goes on one token at a time (`keras_attn.protocols.Decoder`).

    Differs from GPT-2, which has learned positions and GELU (`positions="learned", activation="gelu"`) and
    dropout on the attention weights.

    Args:
        vocabulary_size: V.
        num_layers: number of blocks.
        embedding_dim: D, the width of everything between the blocks.
        num_heads: H.
        hidden_dim: width of the feed-forward layers.
        dropout: rate on the embedded tokens and on the output of every sublayer.
        attention_dropout: rate on the attention weights.
        activation_dropout: rate inside the feed-forward layers.
        norm_first: pre-norm instead of post-norm.
        activation: of the feed-forward layers.
        positions: as of `TransformerSeq2Seq`; a row's positions count from the first token of its prompt.
        position_options: as of `TransformerSeq2Seq`.
        share_embeddings: `"target"`: one table for tokens and output; or `"none"`.
        embedding_scale: whether the embedded tokens are multiplied by sqrt(D).
        output_bias: whether the logits have a bias.
        num_key_value_heads: Hkv; `num_heads` when None.
        implementation: of the self-attention: `"full"`, `"blockwise"` or `"windowed"`.
        window: for `"windowed"`.
        alignment_layer: the layer whose attention to the prompt `step` returns, counted from 0, or from the
            end where negative.
        alignment_heads: its heads that the alignment is the mean of, a list of numbers; all when None.
        layer_drop: probability with which a batch goes around a block, in training alone: see `LayerDrop`.
        dtype: dtype policy of the layers; the global one when None.
        **kwargs: of `keras.Model`.

    Raises:
        ValueError: for sizes below 1 or names that are unknown.

    Example:

    >>> import keras, keras_attn
    >>> model = keras_attn.models.TransformerLanguageModel(
    ...     23, num_layers=1, embedding_dim=6, num_heads=2, hidden_dim=11
    ... )
    >>> ids = {"source": keras.ops.array([[5, 7, 2]]), "target": keras.ops.array([[1, 9]])}
    >>> tuple(model(ids).shape)
    (1, 2, 23)

    Reference: Liu et al., "Generating Wikipedia by Summarizing Long Sequences", ICLR 2018, section 4.2.3;
    Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018, section 3.1.
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        num_layers: Count = 6,
        embedding_dim: Count = 512,
        num_heads: Count = 8,
        hidden_dim: Count = 2048,
        dropout: Rate = 0.1,
        attention_dropout: Rate = 0.0,
        activation_dropout: Rate = 0.0,
        norm_first: bool = True,
        activation: Activation = "relu",
        positions: Positions | None = "sinusoidal",
        position_options: Mapping[str, Any] | None = None,
        share_embeddings: Literal["none", "target"] = "target",
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
        """Checks the alignment; see the base class."""
        check_alignment(settings, settings["num_layers"])
        return serializable_settings(settings)

    @staticmethod
    def make_parts(settings: dict[str, Any]) -> dict[str, Any]:
        """Makes the layers of the model, by their role."""
        size, shared = settings["vocabulary_size"], settings["share_embeddings"] == "target"
        return {
            "join": PromptedSequence(dtype=settings["dtype"], name="prompted_sequence"),
            "after_prompt": AfterPrompt(dtype=settings["dtype"], name="after_prompt"),
            "embedding": make_embedding(settings, size, "embedding", with_logits=shared),
            "positions": make_positions(settings, "positions"),
            "dropout": keras.layers.Dropout(settings["dropout"], dtype=settings["dtype"], name="dropout"),
            "blocks": make_blocks(
                TransformerEncoderBlock, settings, settings["num_layers"], "block", causal=True
            ),
            "drops": make_drops(settings, settings["num_layers"], "drop"),
            "norm": make_norm(settings, "norm"),
            "logits": None if shared else make_logits(settings, size),
        }

    @staticmethod
    def connect(parts: dict[str, Any], settings: dict[str, Any], source: Tensor, target: Tensor) -> Tensor:
        """Computes the logits `[B, T, V]` of all target positions."""
        sequence, mask, positions = parts["join"](source, target)
        hidden = parts["after_prompt"](_run(parts, sequence, mask, positions), source, target)
        return _predict(parts, hidden)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the last block for the prompt. There is no encoder: each state sees those before it.

        Args:
            source: int32 ids `[B, S]`, padded with 0 at the end or the front.

        Returns:
            The states `[B, S, D]`, normalised where `norm_first`, and their mask, boolean `[B, S]`, True =
            keep.
        """
        prompt = some_places(source)
        mask = ops.not_equal(prompt, PAD_ID)
        # Pads ask no table beyond its end.
        positions = ops.where(mask, ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)
        hidden = _run(self._parts, prompt, mask, positions)
        hidden = hidden if self._parts["norm"] is None else self._parts["norm"](hidden)
        length = ops.shape(source)[1]
        return hidden[:, :length], mask[:, :length]

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """Runs the prompt.

        Args:
            source: int32 ids `[B, S]`, padded with 0 at the end.

        Returns:
            state, leaves `[B, 1, Hkv, S, E]`, and memory, leaves `[B, ...]`.
        """
        prompt, pads = align_right(some_places(source))
        mask, positions = mask_and_positions(prompt, pads)
        hidden, caches = _embed(self._parts, prompt, positions), []
        for block in self._parts["blocks"]:
            hidden, cache = block.prefill(hidden, mask)
            caches.append(cache)
        return caches, {"prompt_mask": mask, "pads": pads, "source_mask": ops.not_equal(source, PAD_ID)}

    def step(self, tokens: Tensor, position: Tensor, state: Nested, memory: Nested) -> Step:
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: of the tokens in the target, from 0; an integer or a scalar tensor.
            state: what `start` or the step before returned, leaves `[B, K, Hkv, t, E]`.
            memory: what `start` returned.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`: the weights on the
            prompt, whose sum is less than 1 by those on the target.
        """
        length = ops.shape(memory["prompt_mask"])[1]
        place = length + ops.cast(position, "int32")
        hidden = _embed(self._parts, tokens, ops.expand_dims(place - memory["pads"], -1), training=False)
        keep = _seen_places(memory, ops.shape(state[0]["keys"])[3] + 1)
        caches, weights = [], []
        for block, cache in zip(self._parts["blocks"], state, strict=True):
            hidden, cache, of_block = block.step(hidden, place, sized_cache(block, cache), keep)
            caches.append(cache)
            weights.append(of_block[..., :length])
        alignment = align_left(alignment_of(self._settings, weights), memory["pads"], memory["source_mask"])
        return Step(_predict(self._parts, hidden), caches, alignment)

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
        batch, hypotheses, num_tokens = ops.shape(tokens)
        length = ops.shape(memory["prompt_mask"])[1]
        place = length + ops.cast(position, "int32")
        positions = place + ops.arange(num_tokens, dtype="int32") - memory["pads"][:, None, None]  # [B, 1, n]
        hidden = _embed(self._parts, tokens, positions, training=False)
        keep = _seen_places(memory, ops.shape(state[0]["keys"])[3] + num_tokens)
        caches, weights = [], []
        for block, cache in zip(self._parts["blocks"], state, strict=True):
            hidden, cache, of_block = block.extend(hidden, place, sized_cache(block, cache), keep)
            caches.append(cache)
            weights.append(of_block[..., :length])
        alignment = alignment_of(self._settings, weights)  # [B, K, n, P]
        alignment = ops.reshape(alignment, (batch, hypotheses * num_tokens, length))
        alignment = align_left(alignment, memory["pads"], memory["source_mask"])
        alignment = ops.reshape(alignment, (batch, hypotheses, num_tokens, ops.shape(alignment)[-1]))
        return Extension(
            _predict(self._parts, hidden), {"caches": caches, "num_tokens": num_tokens}, alignment
        )

    def rewind(self, extended: Nested, count: Tensor) -> Nested:
        """The state after some of the tokens that `extend` was given.

        Args:
            extended: of the `Extension` that `extend` returned.
            count: how many of the n tokens stay, 0 to n; an integer or a scalar tensor.

        Returns:
            A state, leaves `[B, K, Hkv, t + count, E]`.
        """
        return rewound(self._parts["blocks"], extended, count)

    def fitting_lengths(self, max_source_length: int, max_target_length: int) -> tuple[int, int]:
        """Limits the source so that both fit into the one table of positions; see the base class."""
        taken = 1 + max_target_length
        return fitting(max_source_length, self._parts["positions"], taken), max_target_length


def _run(parts, ids, mask, positions):
    """Ids `[B, L]` to what the last block gives `[B, L, D]`."""
    hidden = _embed(parts, ids, positions)
    return run_blocks(parts["blocks"], parts["drops"], hidden, inputs_mask=mask, use_causal_mask=True)


def _embed(parts, ids, positions, training=None):
    """Ids `[B, L]` at `positions` to what enters the first block `[B, L, D]`."""
    hidden = parts["embedding"](ids)
    if parts["positions"] is not None:
        hidden = parts["positions"](hidden, positions=positions)
    return parts["dropout"](hidden, training=training)


def _seen_places(memory, length):
    """Mask of `length` positions that hides the padding of the prompt: boolean `[B, 1, length]`."""
    mask = memory["prompt_mask"]
    seen = ops.ones((ops.shape(mask)[0], length - ops.shape(mask)[1]), "bool")
    return ops.expand_dims(ops.concatenate([mask, seen], axis=1), 1)


def _predict(parts, hidden):
    """Outputs of the last block `[.., D]` to logits `[.., V]`."""
    hidden = hidden if parts["norm"] is None else parts["norm"](hidden)
    if parts["logits"] is None:
        return parts["embedding"](hidden, reverse=True)
    return parts["logits"](hidden)
