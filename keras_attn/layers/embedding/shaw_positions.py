"""Vectors for clipped distances (Shaw et al. 2018)."""

from typing import Any

import keras
from keras import ops

from keras_attn.checks.sizes import check_count
from keras_attn.layers.embedding.relative_positions import RelativePositions, distances
from keras_attn.typing import Config, Initializer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class ShawPositions(RelativePositions):
    """A learned vector for every clipped distance, added to the key and to the value.

    ```
    logits[t, s] = query[t] · (key[s] + a_K[clip(s - t)]) / sqrt(E)
    context[t]   = sum_s weights[t, s] (value[s] + a_V[clip(s - t)])
    clip(d)      = max(-max_distance, min(max_distance, d))
    ```

    The vectors are shared by the heads. Looking them up makes a `[T, S, E]` tensor, without a batch axis.

    Args:
        max_distance: k, the distance from which on all are alike.
        use_values: whether the values get a vector as well (a_V).
        embeddings_initializer: of a_K and a_V. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for a `max_distance` below 1.

    Example:

    >>> import numpy as np
    >>> from keras_attn.layers import MultiHeadAttention, ShawPositions
    >>> layer = MultiHeadAttention(2, 4, relative_positions=ShawPositions(16))
    >>> sequence = np.ones((3, 5, 8), "float32")
    >>> tuple(layer(sequence, sequence).shape)
    (3, 5, 8)

    Reference: Shaw, Uszkoreit, Vaswani, "Self-Attention with Relative Position Representations", NAACL 2018,
    equations 3 to 5.
    """

    def __init__(
        self,
        max_distance: int,
        *,
        use_values: bool = True,
        embeddings_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("max_distance", max_distance)
        self.max_distance = max_distance
        self.use_values = use_values
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        """Makes a_K `[2 k + 1, E]` and, with `use_values`, a_V `[2 k + 1, Ev]`."""
        self.key_embeddings = self._add_embeddings("key_embeddings", query_shape[-1])
        if self.use_values:
            self.value_embeddings = self._add_embeddings("value_embeddings", value_shape[-1])
        self.built = True

    def logits(self, query: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """`query[t] · a_K[clip(s - t)]`; the query is scaled already."""
        vectors = self._look_up(self.key_embeddings, query_positions, key_positions, query.dtype)
        return ops.einsum("bhte,tse->bhts", query, vectors)

    def context(self, weights: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """`sum_s weights[t, s] a_V[clip(s - t)]`."""
        if not self.use_values:
            return None
        dtype = self.compute_dtype
        vectors = self._look_up(self.value_embeddings, query_positions, key_positions, dtype)
        return ops.einsum("bhts,tse->bhte", ops.cast(weights, dtype), vectors)

    def tables(self, distance: Tensor) -> dict[str, Tensor]:
        """a_K[clip(d)] and a_V[clip(d)]."""
        tables = {"key_vectors": self._of_distance(self.key_embeddings, distance, self.compute_dtype)}
        if self.use_values:
            tables["value_vectors"] = self._of_distance(self.value_embeddings, distance, self.compute_dtype)
        return tables

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "max_distance": self.max_distance,
            "use_values": self.use_values,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }

    def _add_embeddings(self, name, width):
        # A clone each: an initializer draws its seed once, and would fill both with the same numbers.
        initializer = self.embeddings_initializer.clone()
        # Not autocast, so that a step outside of a call reads the same numbers.
        return self.add_weight(
            name=name, shape=(2 * self.max_distance + 1, width), initializer=initializer, autocast=False
        )

    def _look_up(self, embeddings, query_positions, key_positions, dtype):
        return self._of_distance(embeddings, distances(query_positions, key_positions), dtype)  # [T, S, E]

    def _of_distance(self, embeddings, distance, dtype):
        index = ops.clip(distance, -self.max_distance, self.max_distance) + self.max_distance
        return ops.take(ops.cast(embeddings, dtype), index, axis=0)
