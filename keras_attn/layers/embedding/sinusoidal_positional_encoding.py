"""Fixed sines and cosines that say where in a sequence a place is (Vaswani et al. 2017)."""

from typing import Any

import keras
from keras import ops

from keras_attn.layers.output_shape import OutputShape
from keras_attn.ops.sinusoids import LAYOUTS, position_range, sinusoids
from keras_attn.typing import Config, Nested, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_attn")
class SinusoidalPositionalEncoding(OutputShape, keras.layers.Layer):
    """Adds sines and cosines of the position to every place of a sequence.

    ```
    outputs[b, t] = inputs[b, t] + e[start_position + t]

    interleaved   e[p, 2i] = sin(p r_i),  e[p, 2i + 1] = cos(p r_i)    r_i = 10000^(-2i / D)
    halves        e[p, i]  = sin(p r_i),  e[p, n + i]  = cos(p r_i)    r_i = 10000^(-i / (n - 1)),  n = D // 2
    opennmt       as halves, with p + 1 for p
    ```

    The three layouts are those of the paper, of tensor2tensor and fairseq, and of OpenNMT; weights that were
    trained with one do not fit another. There is no table and thus no longest length. The encoding is
    computed in float32 and cast last, so that half precision tells position 257 from 256. The inputs are not
    scaled: the paper's factor sqrt(D) on the embeddings is the model's to apply.

    Keras has no such layer; `keras_hub.layers.SinePositionEncoding` has the paper's layout alone, returns the
    encoding without adding it, and computes it in the dtype of the policy.

    Args:
        layout: `"interleaved"` (the paper's), `"halves"` or `"opennmt"`.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: `[..., T, D]`.
        start_position: the position of the first place, an integer or a scalar tensor. Default 0.
        positions: the position of every place where they do not just count up: integers that broadcast to
            `[..., T]`. Takes the place of `start_position`.

    Returns:
        Of the shape of `inputs`.

    Raises:
        ValueError: for a `layout` that is none of the three.

    Example:

    >>> import keras, keras_attn
    >>> layer = keras_attn.layers.SinusoidalPositionalEncoding()
    >>> layer(keras.ops.zeros((1, 3, 2))).shape == (1, 3, 2)
    True

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
    """

    def __init__(self, layout: str = "interleaved", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if layout not in LAYOUTS:
            raise ValueError(f"`layout` is unknown. Expected one of {LAYOUTS}. Received: layout={layout!r}.")
        self.layout = layout
        self.supports_masking = True

    def build(self, inputs_shape: Shape) -> None:
        """Makes nothing: the encoding is computed."""
        self.built = True

    def call(self, inputs: Tensor, start_position: Tensor = 0, positions: Tensor = None) -> Tensor:
        """See the class."""
        if positions is None:
            positions = position_range(ops.shape(inputs)[-2], start_position)
        return inputs + self._encode(positions, inputs)

    def step(self, inputs: Tensor, position: Tensor) -> Tensor:
        """One decoding step of K hypotheses a row.

        Args:
            inputs: `[B, K, D]`.
            position: an integer or a scalar tensor where all stand at the same position; otherwise integers
                that broadcast to `[B, K]`.

        Returns:
            `[B, K, D]`.
        """
        return inputs + self._encode(ops.convert_to_tensor(position, dtype="int32"), inputs)

    def compute_output_spec(
        self, inputs: Tensor, start_position: Tensor = 0, positions: Tensor = None
    ) -> Nested:
        """The shape of the inputs."""
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {**super().get_config(), "layout": self.layout}

    def _encode(self, positions, inputs):
        return ops.cast(sinusoids(positions, inputs.shape[-1], self.layout), inputs.dtype)
