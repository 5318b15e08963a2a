"""A learned vector for every position up to a longest length (Gehring et al. 2017)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.sinusoids import position_range
from keras_attn.typing import Config, Initializer, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LearnedPositionalEmbedding(OutputShape, keras.layers.Layer):
    """Adds a learned vector to every place of a sequence.

    ```
    outputs[b, t] = inputs[b, t] + table[start_position + t]
    ```

    A position beyond the table is an error and never, as in other systems, the last row once more. Where
    length and start are known when the layer is called, it raises. Where they are known only inside a graph,
    and where every place has a position of its own (`positions`, which are not looked at), no backend can
    raise from `keras.ops` alone, so those places get NaN on every device, and on TensorFlow and a CPU the
    operation stops with an error that names the position ("is not in [0, max_length)").

    Keras' nearest, `keras.layers.Embedding` of positions made by hand, has no start position and no NaN;
    `keras_hub.layers.PositionEmbedding` returns the vectors without adding them.

    Args:
        max_length: number of rows of the table.
        embeddings_initializer: of the table `[max_length, D]`. Default `"glorot_uniform"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., T, D]`.
        start_position: the position of the first place, an integer or a scalar tensor. Default 0.
        positions: the position of every place where they do not just count up: integers that broadcast to
            `[..., T]`. Takes the place of `start_position`.

    Returns:
        Of the shape of `inputs`.

    Raises:
        ValueError: for a start and a length beyond the table, or a `max_length` below 1.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.LearnedPositionalEmbedding(max_length=7)
    >>> tuple(layer(keras.ops.zeros((2, 3, 5)), start_position=4).shape)
    (2, 3, 5)

    Reference: Gehring, Auli, Grangier, Yarats, Dauphin, "Convolutional Sequence to Sequence Learning",
    ICML 2017, section 3.1.
    """

    def __init__(
        self, max_length: int, *, embeddings_initializer: Initializer = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(max_length, int) or max_length < 1:
            raise ValueError(
                f"`max_length` must be a whole number of at least 1. Received: max_length={max_length!r}."
            )
        self.max_length = max_length
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        """Makes the table `[max_length, D]`."""
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.max_length, inputs_shape[-1]),
            initializer=self.embeddings_initializer,
        )
        self.built = True

    def call(self, inputs: Tensor, start_position: Tensor = 0, positions: Tensor = None) -> Tensor:
        """See the class."""
        if positions is None:
            self._check(inputs.shape[-2], start_position)
            positions = position_range(ops.shape(inputs)[-2], start_position)
        return self._add(inputs, positions)

    def step(self, inputs: Tensor, position: Tensor) -> Tensor:
        """One decoding step of K hypotheses a row.

        Args:
            inputs: `[B, K, D]`.
            position: an integer or a scalar tensor where all stand at the same position; otherwise integers
                that broadcast to `[B, K]`.

        Returns:
            `[B, K, D]`.
        """
        self._check(1, position)
        return self._add(inputs, position)

    def compute_output_spec(
        self, inputs: Tensor, start_position: Tensor = 0, positions: Tensor = None
    ) -> Nested:
        """The shape of the inputs."""
        if positions is None:
            self._check(inputs.shape[-2], start_position)
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "max_length": self.max_length,
            "embeddings_initializer": keras.initializers.serialize(self.embeddings_initializer),
        }

    def _add(self, inputs, positions):
        positions = ops.cast(positions, "int32")
        inside = ops.logical_and(positions >= 0, positions < self.max_length)
        rows = ops.take(ops.convert_to_tensor(self.embeddings), positions, axis=0)  # [..., D]
        # GPUs and compiled graphs read some row for a position that has none: make that visible.
        rows = ops.where(ops.expand_dims(inside, -1), rows, ops.full_like(rows, float("nan")))
        return inputs + ops.cast(rows, inputs.dtype)

    def _check(self, length, start_position):
        start = _as_number(start_position)
        if length is None or start is None or (start >= 0 and start + length <= self.max_length):
            return
        raise ValueError(
            f"Positions of layer {self.name!r} go beyond its table. Expected positions from 0 to "
            f"{self.max_length - 1}. Received: length {length} from start_position={start}. Make the table "
            "longer (`max_length`), cut the sequence, or use SinusoidalPositionalEncoding, which has no end."
        )


def _as_number(start_position):
    """The start as a Python integer, or None where only a graph will know it."""
    if isinstance(start_position, int):
        return start_position
    if getattr(start_position, "shape", ()) != ():
        return None  # a position for every row: too many to look at
    try:
        return int(ops.convert_to_numpy(start_position))
    # Each backend has its own error for a tensor that has no value yet.
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None
