"""The attention of one layer of a convolutional decoder (Gehring et al. 2017)."""

from typing import Any

import keras
from keras import ops

from keras_attn.checks.attention_inputs import check_attention_inputs
from keras_attn.checks.lost_masks import require_mask
from keras_attn.layers.convolutional.weight_normalized_convolution import WeightNormalizedConvolution
from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.masks import combine_masks
from keras_attn.ops.scores import dot_logits, masked_softmax, weighted_sum
from keras_attn.typing import Config, Nested, Shape, Tensor

_HALF = 0.5**0.5


@keras.saving.register_keras_serializable(package="keras_attn")
class MultiStepAttention(OutputShape, keras.layers.Layer):
    """Lets every place of a decoder layer look at the source, with a residual connection around it.

    ```
    d_t        = (W_d h_t + b_d + g_t) sqrt(1/2)        g_t: the embedded target token
    a[t, :]    = softmax over s of d_t · key[s]
    c_t        = sqrt(S) sum_s a[t, s] value[s]         S: the number of source places that the mask keeps
    outputs_t  = (W_o c_t + b_o + h_t) sqrt(1/2)
    ```

    Keys are the encoder's outputs z, values (z + e) sqrt(1/2) with the embedded source tokens e. Both
    sqrt(1/2) of sums with an embedding are fairseq's; the paper's equations 1 and 2 are without them. A
    decoder has one such layer after each convolution, which sees through the layers below it where the former
    looked: hence multi-step. sqrt(S) is S sqrt(1/S): it undoes what averaging does to the variance. Places do
    not depend on each other, so the K hypotheses of a decoding step are called like T places.

    `keras.layers.Attention` has neither the projections and the target's embedding nor the scale.

    Args:
        weight_normalization: whether W_d and W_o are lengths times directions
            (`WeightNormalizedConvolution`). Default False.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: h, `[B, T, F]`.
        target_embedding: g, `[B, T, D]`.
        value: `[B, S, M]`.
        key: `[B, S, D]`; `value` when None.
        value_mask: boolean `[B, S]`, True = keep; None keeps all.
        return_attention_scores: also return the weights.
        training: unused; for the calling convention of the other attentions.

    Returns:
        `[B, T, F]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Raises:
        ValueError: for keys that are not as wide as the embedded target.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.MultiStepAttention()
    >>> h, g, memory = (keras.ops.ones(shape) for shape in ((2, 3, 7), (2, 3, 5), (2, 11, 5)))
    >>> tuple(layer(h, g, memory).shape)
    (2, 3, 7)

    Reference: Gehring, Auli, Grangier, Yarats, Dauphin, "Convolutional Sequence to Sequence Learning",
    ICML 2017, section 3.3, equations 1 and 2, and section 3.4.
    """

    def __init__(self, *, weight_normalization: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight_normalization = weight_normalization
        self.supports_masking = True

    def build(
        self,
        inputs_shape: Shape,
        target_embedding_shape: Shape,
        value_shape: Shape,
        key_shape: Shape | None = None,
    ) -> None:
        """Makes W_d `[F, D]`, W_o `[M, F]` and their biases."""
        key_shape = key_shape or value_shape
        if key_shape[-1] != target_embedding_shape[-1]:
            raise ValueError(
                f"`key` must be as wide as `target_embedding`. Expected width {target_embedding_shape[-1]}. "
                f"Received: {key_shape[-1]}. Project the encoder's outputs to the width of the embedding."
            )
        self.query_projection = self._projection(target_embedding_shape[-1], "query")
        self.query_projection.build(inputs_shape)
        self.output_projection = self._projection(inputs_shape[-1], "output")
        self.output_projection.build(value_shape)
        self.built = True

    def call(
        self,
        inputs: Tensor,
        target_embedding: Tensor,
        value: Tensor,
        key: Tensor = None,
        value_mask: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """See the class."""
        check_attention_inputs(inputs, value, key, value_mask=value_mask)
        key = value if key is None else key
        query = (self.query_projection(inputs) + target_embedding) * _HALF
        keep = combine_masks(query, key, value_mask=value_mask)
        weights = masked_softmax(dot_logits(query, key), keep)
        context = weighted_sum(weights, value)
        context = context * ops.cast(_root_of_length(value, value_mask), context.dtype)
        outputs = (self.output_projection(context) + inputs) * _HALF
        return (outputs, weights) if return_attention_scores else outputs

    def compute_output_spec(
        self,
        inputs: Tensor,
        target_embedding: Tensor,
        value: Tensor,
        key: Tensor = None,
        value_mask: Tensor = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Nested:
        """Shapes of the outputs and, if asked for, of the weights."""
        check_attention_inputs(inputs, value, key, value_mask=value_mask)
        if value_mask is None:
            require_mask(value, "value_mask", self)
        outputs = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return outputs
        return outputs, keras.KerasTensor((*inputs.shape[:2], value.shape[1]), dtype="float32")

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "weight_normalization": self.weight_normalization}

    def _projection(self, units, name):
        """A dense layer that keeps the variance."""
        options = {
            "kernel_initializer": keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
            "dtype": self.dtype_policy,
            "name": name,
        }
        if self.weight_normalization:
            return WeightNormalizedConvolution(units, 1, **options)
        return keras.layers.Dense(units, **options)


def _root_of_length(value, value_mask):
    """sqrt(S) of every row: `[B, 1, 1]`, or a number where nothing is masked."""
    if value_mask is None:
        return ops.sqrt(ops.cast(ops.shape(value)[1], "float32"))
    lengths = ops.sum(ops.cast(value_mask, "float32"), axis=-1)
    return ops.sqrt(lengths)[:, None, None]
