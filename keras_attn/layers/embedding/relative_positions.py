"""Base class of the schemes of relative positions."""

import keras
from keras import ops

from keras_attn.typing import Config, Shape, Tensor


class RelativePositions(keras.layers.Layer):
    """Base of the schemes of relative positions; each overrides the methods that it needs.

    `MultiHeadAttention` calls, with positions `[T]` of the queries and `[S]` of the keys:

    ```
    query, key = rotate(query, query_positions), rotate(key, key_positions)
    logits     = query · key + logits(query, query_positions, key_positions)
    context    = weights · value + context(weights, query_positions, key_positions)
    ```

    Attention in blocks asks for `tables` instead of the last two.

    An instance can be shared by several layers that have equal `num_heads` and widths.
    """

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        """Makes the weights for queries `[B, H, T, E]` and values `[B, H, S, Ev]`."""
        self.built = True

    def rotate(self, tensor: Tensor, positions: Tensor) -> Tensor:
        """Queries or keys `[B, H, T, E]` as they enter the dot product; here unchanged."""
        return tensor

    def logits(self, query: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Computes the addend of the logits, which broadcasts to `[B, H, T, S]`; None for nothing."""
        return  # AutoGraph cannot read a function that is a docstring alone

    def context(self, weights: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Computes the addend of the context `[B, H, T, Ev]`; None for nothing."""
        return

    def tables(self, distance: Tensor) -> dict[str, Tensor]:
        """The same for distances `s - t` `[N]`: a dictionary with any of three tensors.

        `"bias"` float32 `[N, H]` is added to the logits, `"key_vectors"` `[N, E]` to the keys and
        `"value_vectors"` `[N, Ev]` to the values.
        """
        return {}


def distances(query_positions: Tensor, key_positions: Tensor) -> Tensor:
    """`s - t` for every pair: int32 `[T, S]`, above 0 where the key comes after the query."""
    query_positions, key_positions = (ops.cast(p, "int32") for p in (query_positions, key_positions))
    return ops.expand_dims(key_positions, 0) - ops.expand_dims(query_positions, 1)


def serialized_positions(scheme: RelativePositions | None) -> Config | None:
    """The configuration of a scheme or None, in which layers that share it find each other when loaded.

    Keras marks an object only where it meets it again, and so makes two of it.
    """
    if scheme is None:
        return None
    return {**keras.saving.serialize_keras_object(scheme), "shared_object_id": scheme.name}
