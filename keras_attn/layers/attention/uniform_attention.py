"""Attention that does not choose: the mean of the memory (Cho et al. 2014 as a special case)."""

import keras
from keras import ops

from keras_attn.layers.attention.step_attention import StepAttention
from keras_attn.typing import Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class UniformAttention(StepAttention):
    """Gives every key that the masks keep the same weight, whatever the query.

    ```
    weights[t, s] = keep[t, s] / sum_j keep[t, j]
    context[t]    = sum_s weights[t, s] value[s]
    ```

    Over a memory of one place it hands that place to the decoder at every step, as the encoder-decoder from
    before attention did with its one context vector; over a longer one it is the mean. It is what attention
    is to be compared with. No weights are learned. Keras' nearest is `GlobalAveragePooling1D`, which has no
    queries.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        query: `[B, T, Dq]`, for its shape alone.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`, for its shape alone; `value` when None.
        query_mask: boolean `[B, T]`, True = keep; a masked query gets a context of zeros.
        value_mask: boolean `[B, S]`, True = keep.
        key_mask: boolean `[B, S]`, True = keep.
        attention_mask: boolean, broadcasts to `[B, T, S]`, True = keep.
        use_causal_mask: keep only the keys up to the query's own position, aligned to the end.
        return_attention_scores: also return the weights.
        training: unused; for the calling convention of `keras.layers.MultiHeadAttention`.

    Returns:
        The context `[B, T, Dv]`; with `return_attention_scores`, also the float32 weights `[B, T, S]`.

    Example:

    >>> import keras
    >>> from keras_attn.layers.attention.uniform_attention import UniformAttention
    >>> layer = UniformAttention()
    >>> memory = keras.ops.array([[[2.0], [4.0]]])
    >>> keras.ops.convert_to_numpy(layer(keras.ops.ones((1, 1, 3)), memory)).tolist()
    [[[3.0]]]

    Reference: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
    Translation", EMNLP 2014, section 2.2, for the one context vector.
    """

    def project_memory(self, key: Tensor) -> Nested:
        """The keys as they are.

        Args:
            key: `[B, S, Dk]`.

        Returns:
            `[B, S, Dk]`.
        """
        return key

    def logits(self, query: Tensor, projected_key: Nested, state: Nested) -> Tensor:
        """Zeros `[B, K, S]` for queries `[B, K, Dq]` and keys `[B, S, Dk]`."""
        return ops.zeros_like(query[:, :, :1]) + ops.zeros_like(projected_key[:, :, 0])[:, None]
