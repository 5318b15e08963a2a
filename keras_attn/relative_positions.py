"""Relative positions for `MultiHeadAttention`: how far a key is from the query, brought into the attention.

Letters: B batch, H heads, T queries, S keys, E width a head. A position is a whole number; where queries and
keys are of one sequence, the distance `s - t` is all that any of the four schemes uses.
"""

import math

import keras
from keras import ops

from keras_attn.shapes import check_count


class RelativePositions(keras.layers.Layer):
    """What every scheme can do; each of the four overrides what it needs.

    `MultiHeadAttention` calls, with positions `[T]` of the queries and `[S]` of the keys:

    ```
    query, key = rotate(query, query_positions), rotate(key, key_positions)
    logits     = query · key + logits(query, query_positions, key_positions)
    context    = weights · value + context(weights, query_positions, key_positions)
    ```

    An instance can be shared by several layers that have equal `num_heads` and widths.
    """

    # Whether the scheme has weights of its own that the logits depend on.
    learned = False

    def build(self, query_shape, value_shape):
        """Makes the weights for queries `[B, H, T, E]` and values `[B, H, S, Ev]`."""
        self.built = True

    def rotate(self, tensor, positions):
        """Queries or keys `[B, H, T, E]` as they enter the dot product; here unchanged."""
        return tensor

    def logits(self, query, query_positions, key_positions):
        """What is added to the logits, broadcasts to `[B, H, T, S]`; None for nothing."""
        return  # AutoGraph cannot read a function that is a docstring alone

    def context(self, weights, query_positions, key_positions):
        """What is added to the context `[B, H, T, Ev]`; None for nothing."""
        return


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

    Reference: Shaw, Uszkoreit, Vaswani, "Self-Attention with Relative Position Representations", NAACL 2018,
    equations 3 to 5.
    """

    learned = True

    def __init__(self, max_distance, use_values=True, embeddings_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        check_count("max_distance", max_distance)
        self.max_distance = max_distance
        self.use_values = use_values
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, query_shape, value_shape):
        """Makes a_K `[2 k + 1, E]` and, with `use_values`, a_V `[2 k + 1, Ev]`."""
        self.key_embeddings = self._add_embeddings("key_embeddings", query_shape[-1])
        if self.use_values:
            self.value_embeddings = self._add_embeddings("value_embeddings", value_shape[-1])
        self.built = True

    def logits(self, query, query_positions, key_positions):
        """`query[t] · a_K[clip(s - t)]`; the query is scaled already."""
        vectors = self._look_up(self.key_embeddings, query_positions, key_positions, query.dtype)
        return ops.einsum("bhte,tse->bhts", query, vectors)

    def context(self, weights, query_positions, key_positions):
        """`sum_s weights[t, s] a_V[clip(s - t)]`."""
        if not self.use_values:
            return None
        dtype = self.compute_dtype
        vectors = self._look_up(self.value_embeddings, query_positions, key_positions, dtype)
        return ops.einsum("bhts,tse->bhte", ops.cast(weights, dtype), vectors)

    def get_config(self):
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
        distance = distances(query_positions, key_positions)
        index = ops.clip(distance, -self.max_distance, self.max_distance) + self.max_distance
        return ops.take(ops.cast(embeddings, dtype), index, axis=0)  # [T, S, E]


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

    Reference: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
    Transformer", JMLR 2020, section 2.1.
    """

    learned = True

    def __init__(
        self,
        num_buckets=32,
        max_distance=128,
        bidirectional=True,
        embeddings_initializer="glorot_uniform",
        **kwargs,
    ):
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

    def build(self, query_shape, value_shape):
        """Makes b `[num_buckets, H]`."""
        shape = (self.num_buckets, query_shape[1])
        # Not autocast, so that a step outside of a call reads the same numbers.
        self.bias = self.add_weight(
            name="bias", shape=shape, initializer=self.embeddings_initializer, autocast=False
        )
        self.built = True

    def logits(self, query, query_positions, key_positions):
        """`b[h, bucket(s - t)]`, `[H, T, S]`."""
        buckets = self.buckets(distances(query_positions, key_positions))
        bias = ops.take(ops.cast(self.bias, "float32"), buckets, axis=0)  # [T, S, H]
        return ops.transpose(bias, (2, 0, 1))

    def buckets(self, distance):
        """The bucket of every distance `s - t`, whole numbers of any shape."""
        sides = 2 if self.bidirectional else 1
        table = bucket_table(self.num_buckets // sides, self.max_distance)
        size = ops.abs(distance) if self.bidirectional else ops.maximum(-distance, 0)
        bucket = ops.take(ops.convert_to_tensor(table, "int32"), ops.minimum(size, self.max_distance))
        if self.bidirectional:
            bucket = bucket + ops.cast(distance > 0, "int32") * (self.num_buckets // 2)
        return bucket

    def get_config(self):
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }


@keras.saving.register_keras_serializable(package="keras_attn")
class ALiBiPositions(RelativePositions):
    """A penalty that grows with the distance, with a fixed slope a head; nothing is learned.

    ```
    logits[h, t, s] = query[t] · key[s] / sqrt(E) - slope[h] |s - t|
    slope[h]        = 2^(-8 (h + 1) / H)
    ```

    Where H is no power of 2, the slopes are those of the power below, then every other one of the power
    above, as in the authors' program.

    Args:
        **kwargs: of `keras.layers.Layer`.

    Reference: Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length
    Extrapolation", ICLR 2022, section 3.
    """

    def build(self, query_shape, value_shape):
        """Nothing to make, but the number of heads to know."""
        self.num_heads = query_shape[1]
        self.built = True

    def logits(self, query, query_positions, key_positions):
        """`-slope[h] |s - t|`, `[H, T, S]`."""
        distance = ops.cast(ops.abs(distances(query_positions, key_positions)), "float32")
        slopes = ops.convert_to_tensor(alibi_slopes(self.num_heads), "float32")
        return -slopes[:, None, None] * distance


@keras.saving.register_keras_serializable(package="keras_attn")
class RotaryPositions(RelativePositions):
    """Turns pairs of numbers of queries and keys by an angle that grows with the position.

    ```
    angle[p, i]     = p base^(-2 i / E)
    (x_i, y_i)      -> (x_i cos - y_i sin, x_i sin + y_i cos)
    ```

    The dot product of a turned query and a turned key depends on the positions through their distance alone.
    Angles are computed in float32 whatever the policy: bfloat16 cannot hold odd positions above 256.

    Args:
        base: of the angles.
        layout: which numbers make pair i: `"interleaved"` 2 i and 2 i + 1 (the paper, GPT-J),
            `"half"` i and i + E / 2 (GPT-NeoX, Llama). Weights trained with one give nonsense with the other.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: for another `layout`, or an odd E.

    Reference: Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, equations 13
    to 16 and 34.
    """

    LAYOUTS = ("interleaved", "half")

    def __init__(self, base=10000.0, layout="interleaved", **kwargs):
        super().__init__(**kwargs)
        if layout not in self.LAYOUTS:
            raise ValueError(
                f"`layout` is unknown. Expected one of {self.LAYOUTS}. Received: layout={layout!r}."
            )
        self.base = base
        self.layout = layout

    def build(self, query_shape, value_shape):
        """Nothing to make; pairs need an even width."""
        if query_shape[-1] % 2:
            raise ValueError(
                "Rotary positions turn pairs of numbers. Expected an even `key_dim`. "
                f"Received: key_dim={query_shape[-1]}."
            )
        self.built = True

    def rotate(self, tensor, positions):
        """Turns `[B, H, T, E]` by the positions `[T]`, in the dtype of `tensor`."""
        width = tensor.shape[-1]
        frequency = [self.base ** (-2 * i / width) for i in range(width // 2)]
        angle = ops.expand_dims(ops.cast(positions, "float32"), -1) * ops.convert_to_tensor(
            frequency, "float32"
        )  # [T, E / 2]
        cosine, sine = ops.cos(angle), ops.sin(angle)
        x, y = self._split(ops.cast(tensor, "float32"))  # [B, H, T, E / 2]
        turned = self._join(x * cosine - y * sine, x * sine + y * cosine, ops.shape(tensor))
        return ops.cast(turned, tensor.dtype)

    def get_config(self):
        """Everything the constructor takes."""
        return {**super().get_config(), "base": self.base, "layout": self.layout}

    def _split(self, tensor):
        if self.layout == "half":
            return ops.split(tensor, 2, axis=-1)
        return tensor[..., ::2], tensor[..., 1::2]

    def _join(self, x, y, shape):
        if self.layout == "half":
            return ops.concatenate([x, y], axis=-1)
        return ops.reshape(ops.stack([x, y], axis=-1), shape)


def distances(query_positions, key_positions):
    """`s - t` for every pair: int32 `[T, S]`, above 0 where the key comes after the query."""
    query_positions, key_positions = (ops.cast(p, "int32") for p in (query_positions, key_positions))
    return ops.expand_dims(key_positions, 0) - ops.expand_dims(query_positions, 1)


def bucket_table(num_buckets, max_distance):
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


def alibi_slopes(num_heads):
    """The slope of every head, as a list."""
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    above = [2 ** (-4 * (head + 1) / power) for head in range(0, 2 * power, 2)]
    return slopes + above[: num_heads - power]
