"""Whole layers left out while a model trains (Fan et al. 2020)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.output_shape import OutputShape
from keras_attn.typing import Config, Nested, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class LayerDrop(OutputShape, keras.layers.Layer):
    """Goes around a layer, or through it: one draw for a whole batch, in training alone.

    ```
    training    y = inputs with probability rate, else outputs = layer(inputs)
    inference   y = outputs
    ```

    Nothing is rescaled, as in the paper and in fairseq. What is gone around is computed all the same and gets
    a gradient of 0: this costs no time and saves none. A model that was trained so still works when some of
    its layers are left out for good. Keras has nothing of the kind;
    torchvision's stochastic depth draws for each row and rescales.

    Args:
        rate: probability of going around, in [0, 1).
        seed: of the draws.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: what went into the layer, of any shape.
        outputs: what came out of it, of the same shape.
        training: whether layers are left out.

    Returns:
        One of both.

    Raises:
        ValueError: for a rate outside [0, 1), or shapes that differ.

    Example:

    >>> import keras, keras_attn
    >>> inputs, layer = keras.ops.ones((2, 3)), keras.layers.Dense(3, kernel_initializer="zeros")
    >>> outputs = keras_attn.layers.LayerDrop(0.2)(inputs, layer(inputs))
    >>> float(keras.ops.sum(outputs))  # not in training
    0.0

    Reference: Fan, Grave, Joulin, "Reducing Transformer Depth on Demand with Structured Dropout", ICLR 2020,
    section 3.2.
    """

    def __init__(self, rate: float, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be in [0, 1). Received: rate={rate}.")
        self.rate = rate
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Tensor, outputs: Tensor, training: bool | None = None) -> Tensor:
        """See the class."""
        if not training or not self.rate:
            return outputs
        goes_through = keras.random.uniform((), seed=self.generator) >= self.rate
        return ops.where(goes_through, outputs, inputs)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Tensor:
        """That of what came out, which is that of what went in."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask

    def compute_output_spec(self, inputs: Tensor, outputs: Tensor, training: bool | None = None) -> Nested:
        """The shape of both."""
        if len(inputs.shape) != len(outputs.shape) or any(
            None not in sizes and sizes[0] != sizes[1]
            for sizes in zip(inputs.shape, outputs.shape, strict=True)
        ):
            raise ValueError(
                "What goes into a layer cannot take the place of what comes out. Expected equal shapes. "
                f"Received: inputs {tuple(inputs.shape)}, outputs {tuple(outputs.shape)}. Drop layers that "
                "keep the shape alone."
            )
        return keras.KerasTensor(outputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
