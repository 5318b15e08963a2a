"""Numbers for buckets of distances (Raffel et al. 2020)."""

from typing import Any

import keras
from keras import ops

from keras_attn.checks.sizes import check_count
from keras_attn.layers.embedding.relative_positions import RelativePositions, distances
from keras_attn.typing import Config, Initializer, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class T5Positions(RelativePositions):
    """One learned number a head for every bucket of distances, added to the logits.

    ```
    logits[h, t, s] = query[t] · key[s] / sqrt(E) + b[h, bucket(s - t)]
    ```

    Half of a direction's buckets hold one distance each; the other half grow logarithmically up to
    `max_distance`, beyond which all share the last. T5 itself does not divide by sqrt(E): multiply the
    query projection of its checkpoints by sqrt(E).

    Args:
        num_buckets: number of buckets, of both directions together.
        max_distance: the distance from which on all are alike.
        bidirectional: whether keys after the query have buckets of their own; False is for causal
            attention and puts all of them into the bucket of distance 0.
        embeddings_initializer: of b. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for a `num_buckets` that does not divide evenly, or a `max_distance` within the exact
            buckets.

    Example:

    >>> import numpy as np
    >>> from keras_attn.layers import MultiHeadAttention, T5Positions
    >>> layer = MultiHeadAttention(2, 4, relative_positions=T5Positions())
    >>> sequence = np.ones((3, 5, 8), "float32")
    >>> tuple(layer(sequence, sequence).shape)
    (3, 5, 8)

    Reference: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
    Transformer", JMLR 2020, section 2.1.
    """

    def __init__(
        self,
        num_buckets: int = 32,
        max_distance: int = 128,
        *,
        bidirectional: bool = True,
        embeddings_initializer: Initializer = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_count("num_buckets", num_buckets)
        check_count("max_distance", max_distance)
        divisor = 4 if bidirectional else 2
        if num_buckets % divisor:
            raise ValueError(
                f"`num_buckets` must divide into exact and growing buckets. Expected a multiple of {divisor} "
                f"with bidirectional={bidirectional}. Received: num_buckets={num_buckets}."
            )
        if max_distance <= num_buckets // divisor:
            raise ValueError(
                "`max_distance` must lie beyond the exact buckets. Expected more than "
                f"{num_buckets // divisor}. Received: max_distance={max_distance}."
            )
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, query_shape: Shape, value_shape: Shape) -> None:
        """Makes b `[num_buckets, H]`."""
        shape = (self.num_buckets, query_shape[1])
        # Not autocast, so that a step outside of a call reads the same numbers.
        self.bias = self.add_weight(
            name="bias", shape=shape, initializer=self.embeddings_initializer, autocast=False
        )
        self.built = True

    def logits(self, query: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """`b[h, bucket(s - t)]`, `[H, T, S]`."""
        bias = self.tables(distances(query_positions, key_positions))["bias"]  # [T, S, H]
        return ops.transpose(bias, (2, 0, 1))

    def tables(self, distance: Tensor) -> dict[str, Tensor]:
        """b[:, bucket(d)]."""
        return {"bias": ops.take(ops.cast(self.bias, "float32"), self.buckets(distance), axis=0)}

    def buckets(self, distance: Tensor) -> Tensor:
        """The bucket of every distance `s - t`, whole numbers of any shape."""
        sides = 2 if self.bidirectional else 1
        table = bucket_table(self.num_buckets // sides, self.max_distance)
        size = ops.abs(distance) if self.bidirectional else ops.maximum(-distance, 0)
        bucket = ops.take(ops.convert_to_tensor(table, "int32"), ops.minimum(size, self.max_distance))
        if self.bidirectional:
            bucket = bucket + ops.cast(distance > 0, "int32") * (self.num_buckets // 2)
        return bucket

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


def bucket_table(num_buckets: int, max_distance: int) -> Any:
    """T5's bucket of every distance 0, 1, ..., `max_distance` in one direction, as a list.

    `n` below `exact = num_buckets / 2` is its own bucket; the others are in
    `exact + floor(log(n / exact) / log(max_distance / exact) exact)`, at most the last. Whole numbers decide
    here, not rounded logarithms, so that all backends agree.
    """
    exact = num_buckets // 2
    table = list(range(exact))
    growing = 0
    for distance in range(exact, max_distance + 1):
        # distance / exact >= (max_distance / exact) ** ((growing + 1) / exact), to the power of `exact`.
        while growing < exact - 1 and distance**exact * exact ** (growing + 1) >= (
            max_distance ** (growing + 1) * exact**exact
        ):
            growing += 1
        table.append(exact + growing)
    return table
