"""RNN sequence-to-sequence, with attention or without (Bahdanau et al. 2015; Luong et al. 2015)."""

from typing import Any, Literal

import keras
from keras import ops

from keras_attn.layers import StepAttention
from keras_attn.models.recurrent_parts import check_width_before_logits, encode, make_parts
from keras_attn.models.seq2seq import Seq2SeqModel
from keras_attn.protocols import Step
from keras_attn.typing import Count, LuongScore, Nested, Rate, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class RecurrentSeq2Seq(Seq2SeqModel):
    """Recurrent encoder and decoder; as a rule with attention between them.

    By default a bidirectional GRU, Bahdanau's attention and a GRU:

    ```
    h     = [GRU→(E_s x); GRU←(E_s x)]                memory
    s_0   = tanh(W_0 h←_1)                            the backward state after the first source token
    c_t   = sum_j a_tj h_j,  a_t = softmax_j(v · tanh(W_q s_{t-1} + W_k h_j))
    s_t   = GRU([E_t y_{t-1}; c_t], s_{t-1})
    logits_t = W_o tanh(W_r [s_t; c_t; E_t y_{t-1}])
    ```

    With `attention=None` the decoder gets one context vector at every step, the encoder's last output
    [h→_S; h←_1], as before attention (Cho et al. 2014). With `attention="luong"`, `input_feeding=True`,
    `attention_vector_units` and `readout=None` it is the decoder of Luong et al.; `AttentionCell` has the
    formulae.

    A functional model of `{"source": [B, S], "target": [B, T]}` int32 ids, where `target` begins with the
    start token and id 0 pads; its output is the logits `[B, T, V]` in float32. `start` and `step` run the
    same layers one step at a time (`keras_attn.protocols.Decoder`).

    Args:
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: V, number of target ids.
        embedding_dim: width of both embeddings.
        units: width of every recurrent layer's state, in the encoder of each direction.
        attention_units: width of the hidden layer of Bahdanau's attention and of Luong's "concat".
        dropout: rate on the embeddings, between the layers of encoder and decoder, on the memory and before
            the output; never on what goes on in time, and drawn anew at every place.
        cell: `"gru"` or `"lstm"`.
        num_encoder_layers: recurrent layers of the encoder.
        num_decoder_layers: recurrent layers of the decoder. The lowest one's state asks in Bahdanau's order,
            the highest one's output in Luong's.
        bidirectional: whether the encoder reads in both directions, whose outputs are concatenated.
        residual: whether each recurrent layer but the lowest adds its input, as dropout left it, to its
            output.
        bridge: from the encoder's last states to the decoder's first: `"dense"` for tanh(W x + b), `"copy"`,
            or `"zero"` for no bridge. Layer by layer from the bottom, where the encoder has fewer its top one
            again; of two directions the backward one's.
        attention: `"bahdanau"`, `"luong"`, `"luong_local"` (local-p), None, or any
            `keras_attn.layers.StepAttention`, of which the model makes a copy.
        score: of Luong's attention, as in `keras_attn.layers.LuongAttention`.
        window: of `"luong_local"`.
        normalize: normalised Bahdanau attention, or Luong's with one learned scale.
        order: `"bahdanau"`: the previous state asks, the context enters the cell; `"luong"`: the new state
            asks. None for that of the attention's author; Bahdanau's with your own.
        input_feeding: whether the attention vector is a further input of the next step.
        attention_vector_units: width of the attention vector tanh(W [c; s]); None for none.
        readout: between decoder and logits: `"tanh"`, `"maxout"` (the paper's: the larger of each two units)
            or None.
        readout_units: width of the readout; `embedding_dim` when None.
        tie_target_embedding: whether the logits are made with the target embedding's weights.
        dtype: dtype policy of the layers; the global one when None.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: `{"source": [B, S], "target": [B, T]}`, int32.

    Returns:
        float32 logits `[B, T, V]`.

    Raises:
        ValueError: for an unknown choice, counts below 1, or widths that do not fit together.

    Example:

    >>> import numpy as np, keras_attn
    >>> model = keras_attn.models.RecurrentSeq2Seq(17, 19, embedding_dim=5, units=7, attention="luong")
    >>> source, target = np.array([[5, 9, 2]]), np.array([[1, 4, 8, 11]])
    >>> tuple(model({"source": source, "target": target}).shape)
    (1, 4, 19)

    Differs from Bahdanau's paper in GRUs as Keras has them (`reset_after`) and in offering dropout, which it
    did without; from Luong's in dropping out the memory too. The dropout between the layers is that of
    Zaremba et al., whom Luong et al. follow; the `dropout` of Keras' cells, one mask for all steps, is not.
    TensorFlow Addons and KerasHub have parts of such models, or none.

    Reference: Cho et al., EMNLP 2014; Bahdanau, Cho, Bengio, ICLR 2015, appendix A; Luong, Pham, Manning,
    EMNLP 2015, sections 3 and 4.1; Zaremba, Sutskever, Vinyals, "Recurrent Neural Network Regularization",
    2014, section 3.2.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        *,
        embedding_dim: Count = 256,
        units: Count = 256,
        attention_units: Count = 256,
        dropout: Rate = 0.0,
        cell: Literal["gru", "lstm"] = "gru",
        num_encoder_layers: Count = 1,
        num_decoder_layers: Count = 1,
        bidirectional: bool = True,
        residual: bool = False,
        bridge: Literal["dense", "copy", "zero"] = "dense",
        attention: Literal["bahdanau", "luong", "luong_local"] | StepAttention | None = "bahdanau",
        score: LuongScore = "general",
        window: Count = 10,
        normalize: bool = False,
        order: Literal["bahdanau", "luong"] | None = None,
        input_feeding: bool = False,
        attention_vector_units: Count | None = None,
        readout: Literal["tanh", "maxout"] | None = "tanh",
        readout_units: Count | None = None,
        tie_target_embedding: bool = False,
        dtype: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(locals())

    @staticmethod
    def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
        """Checks that a tied embedding is as wide as what comes before the logits."""
        check_width_before_logits(settings)
        return settings

    make_parts = staticmethod(make_parts)

    @staticmethod
    def connect(parts: dict[str, Any], settings: dict[str, Any], source: Tensor, target: Tensor) -> Tensor:
        """Computes the logits `[B, T, V]` of all target positions."""
        memory, memory_mask, state = encode(parts, settings, source)
        embedded = parts["dropout"](parts["target_embedding"](target))
        attended = parts["decoder"](embedded, memory, memory_mask=memory_mask, initial_state=state)
        return _predict(parts, settings, attended, embedded)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output, which the decoder attends to.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            The memory `[B, S, M]`, whose width is `units`, of two directions twice that, and its boolean mask
            `[B, S]`, True = keep. Without attention S = 1: the one context vector.
        """
        memory, memory_mask, _ = encode(self._parts, self._settings, source)
        return memory, memory_mask

    def start(self, source: Tensor, training: bool | None = None) -> tuple[Nested, Nested]:
        """Encodes the source.

        Args:
            source: int32 ids `[B, S]`, padded with 0.
            training: whether dropout is active.

        Returns:
            state, leaves `[B, 1, ...]`, and memory, leaves `[B, S, ...]`.
        """
        memory, memory_mask, state = encode(self._parts, self._settings, source, training)
        decoder = self._parts["decoder"]
        prepared = decoder.prepare_memory(memory, memory_mask)
        state = decoder.initial_state(prepared, state)
        return state, prepared | {"no_alignment": ops.zeros_like(source, dtype="float32")}

    def step(
        self,
        tokens: Tensor,
        position: Tensor,
        state: Nested,
        memory: Nested,
        training: bool | None = None,
    ) -> Step:
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: unused: a recurrent state knows where it is.
            state: list of `[B, K, X]`.
            memory: what `start` returned.
            training: whether dropout is active.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`: zeros where there is
            no attention.
        """
        parts = self._parts
        embedded = parts["dropout"](parts["target_embedding"](tokens), training=training)
        attended, state, _, alignment = parts["decoder"].step(embedded, state, memory, training)
        if self._settings["attention"] is None:
            alignment = ops.zeros_like(alignment) * memory["no_alignment"][:, None]  # [B, K, S]
        return Step(_predict(parts, self._settings, attended, embedded, training), state, alignment)


def _predict(parts, settings, attended, embedded, training=None):
    """The decoder's output `[.., Y]` and the embedded previous tokens to logits `[.., V]`."""
    hidden = attended
    if parts["readout"] is not None:
        hidden = parts["readout"](ops.concatenate([attended, embedded], axis=-1))
    if settings["readout"] == "maxout":
        hidden = ops.maximum(hidden[..., 0::2], hidden[..., 1::2])
    hidden = parts["dropout"](hidden, training=training)
    if settings["tie_target_embedding"]:
        return parts["target_embedding"](hidden, reverse=True)
    return parts["logits"](hidden)
