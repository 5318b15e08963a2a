"""Convolutional sequence-to-sequence (Gehring et al. 2017)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.models.convolutional_parts import make_parts, plain_settings
from keras_attn.models.seq2seq import Seq2SeqModel
from keras_attn.protocols import Step
from keras_attn.typing import Count, Nested, Rate, Tensor

_HALF = 0.5**0.5


@keras.saving.register_keras_serializable(package="keras_attn")
class ConvolutionalSeq2Seq(Seq2SeqModel):
    """Gated convolutions in encoder and decoder; the decoder's layers, as a rule all, attend to the source.

    ```
    e   = dropout(E_s[source_s] + position_s)          g_t = dropout(E_t[target_t] + position_t)
    h^0 = W e + b                                      h^l = (GLU(conv(h^{l-1})) + h^{l-1}) sqrt(1/2)
    z   = W h^L + b                                    memory: keys z, values (z + e) sqrt(1/2)

    d^0 = W g + b                                      c^l = GLU(causal conv(d^{l-1}))
    d^l = (attend(c^l, g, memory) + d^{l-1}) sqrt(1/2)       without attention (c^l + d^{l-1}) sqrt(1/2)
    logits = W_o dropout(W d^L + b) + b_o
    ```

    `GatedConvolution` and `MultiStepAttention` have the formulae of their parts. Pads are zeros before each
    convolution; where a layer is wider than the one below, the residual is projected. The gradient that the
    decoder's attentions send to the encoder is divided by twice their number. The first weights keep the
    variance of activations.

    A functional model of `{"source": [B, S], "target": [B, T]}` int32 ids, where `target` begins with the
    start token and id 0 pads; its output is the logits `[B, T, V]` in float32. `start` and `step` run the
    same layers one step at a time from buffers of the convolutions' last inputs
    (`keras_attn.protocols.Decoder`).

    Args:
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: V, number of target ids.
        embedding_dim: D, width of both embeddings, of keys and of values.
        encoder_convolutions: `(filters, kernel_size)` of every layer of the encoder.
        decoder_convolutions: likewise of the decoder.
        output_dim: width of the layer before the logits; `embedding_dim` when None.
        dropout: rate on the embeddings, on the input of every convolution and before the output.
        max_source_length: positions of the source, the end token counted. More are an error.
        max_target_length: positions of the target, the start token counted. More are an error.
        weight_normalization: whether all dense and convolutional weights are lengths times directions, as in
            the paper.
        tie_target_embedding: whether the logits are made with the target embedding's weights.
        decoder_attention: which layers of the decoder attend: True for all, or a list of booleans, one a
            layer, from the bottom. Default True.
        dtype: dtype policy of the layers; the global one when None.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: `{"source": [B, S], "target": [B, T]}`, int32.

    Returns:
        float32 logits `[B, T, V]`.

    Raises:
        ValueError: for sizes below 1, no convolutions, a decoder in which nothing attends, or tied weights of
            different widths; when called, for sequences longer than the positions.

    Example:

    >>> import numpy as np, keras_attn
    >>> model = keras_attn.models.ConvolutionalSeq2Seq(
    ...     17, 19, embedding_dim=5, encoder_convolutions=[(7, 3)], decoder_convolutions=[(7, 3), (7, 3)]
    ... )
    >>> tuple(model({"source": np.array([[5, 9, 2]]), "target": np.array([[1, 4, 8, 11]])}).shape)
    (1, 4, 19)

    Differs from fairseq's `fconv`: positions count from 0, and weight normalisation is a choice. Keras and
    its hub have no convolutional decoder.

    Reference: Gehring, Auli, Grangier, Yarats, Dauphin, "Convolutional Sequence to Sequence Learning",
    ICML 2017, section 3.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        *,
        embedding_dim: Count = 256,
        encoder_convolutions: Sequence[Sequence[int]] = ((256, 3),) * 4,
        decoder_convolutions: Sequence[Sequence[int]] = ((256, 3),) * 3,
        output_dim: Count | None = None,
        dropout: Rate = 0.0,
        max_source_length: Count = 1024,
        max_target_length: Count = 1024,
        weight_normalization: bool = False,
        tie_target_embedding: bool = False,
        decoder_attention: bool | Sequence[bool] = True,
        dtype: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(locals())

    plain_settings = staticmethod(plain_settings)
    make_parts = staticmethod(make_parts)

    @staticmethod
    def connect(parts: dict[str, Any], settings: dict[str, Any], source: Tensor, target: Tensor) -> Tensor:
        """Computes the logits `[B, T, V]` of all target positions."""
        memory = _encode(parts, source)
        embedded = parts["dropout"](parts["target_positions"](parts["target_embedding"](target)))
        hidden = parts["decoder_input"](embedded)
        for layer in parts["decoder"]:
            # No mask of the target: padding comes last, where causal convolutions do not see it.
            outputs = layer["convolution"](hidden)
            if layer["attention"] is not None:
                outputs = _attend(layer, outputs, embedded, memory)
            hidden = _around(layer, hidden, outputs)
        return _predict(parts, hidden)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's output, which the decoder attends to.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            The keys `[B, S, D]` of the decoder's attentions, z above, and their boolean mask `[B, S]`, True =
            keep.
        """
        memory = _encode(self._parts, source)
        return memory["keys"], memory["mask"]

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """Encodes the source.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            state, a buffer `[B, 1, kernel_size - 1, C]` for every convolution, and memory, leaves
            `[B, S, ...]`.
        """
        batch_size = ops.shape(source)[0]
        buffers = [layer["convolution"].empty_buffer(batch_size) for layer in self._parts["decoder"]]
        return buffers, _encode(self._parts, source)

    def step(self, tokens: Tensor, position: Tensor, state: Nested, memory: Nested) -> Step:
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: of the tokens in the target, from 0; an integer or a scalar tensor.
            state: list of buffers `[B, K, kernel_size - 1, C]`.
            memory: what `start` returned.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`, the mean of the
            weights of the layers that attend.
        """
        parts = self._parts
        embedded = parts["target_positions"].step(parts["target_embedding"](tokens), position)
        hidden, buffers, weights = parts["decoder_input"](embedded), [], []
        for layer, buffer in zip(parts["decoder"], state, strict=True):
            outputs, buffer = layer["convolution"].step(hidden, buffer)
            if layer["attention"] is not None:
                outputs, of_layer = _attend(layer, outputs, embedded, memory, return_attention_scores=True)
                weights.append(of_layer)
            hidden = _around(layer, hidden, outputs)
            buffers.append(buffer)
        return Step(_predict(parts, hidden), buffers, sum(weights) / len(weights))


def _encode(parts, source):
    """Source ids `[B, S]` to keys `[B, S, D]`, values `[B, S, D]` and their mask `[B, S]`."""
    mask = ops.not_equal(source, PAD_ID)
    embedded = parts["dropout"](parts["source_positions"](parts["source_embedding"](source)))
    hidden = parts["encoder_input"](embedded)
    for layer in parts["encoder"]:
        hidden = _around(layer, hidden, layer["convolution"](hidden, mask=mask))
    keys = parts["gradient"](parts["encoder_output"](hidden))
    return {"keys": keys, "values": (keys + embedded) * _HALF, "mask": mask}


def _attend(layer, hidden, embedded, memory, **options):
    values, keys, mask = memory["values"], memory["keys"], memory["mask"]
    return layer["attention"](hidden, embedded, values, keys, value_mask=mask, **options)


def _around(layer, inputs, outputs):
    """The residual connection around a layer, projected where the widths differ."""
    residual = inputs if layer["residual"] is None else layer["residual"](inputs)
    return (outputs + residual) * _HALF


def _predict(parts, hidden):
    """Outputs of the last layer `[.., F]` to logits `[.., V]`."""
    hidden = parts["dropout"](parts["decoder_output"](hidden))
    if parts["logits"] is None:
        return parts["target_embedding"](hidden, reverse=True)
    return parts["logits"](hidden)
