"""Ids to vectors, and vectors back to logits where both share a table (Press and Wolf 2017)."""

import math
from typing import Any

import keras
from keras import ops

from keras_attn.checks.sizes import check_count
from keras_attn.typing import Config, Nested, Shape, Tensor

PAD_ID = 0


@keras.saving.register_keras_serializable(package="keras_attn")
class TokenEmbedding(keras.layers.Layer):
    """A table of token vectors, which can be read forwards and backwards.

    ```
    outputs[..., :] = sqrt(D) table[ids]                  scale=True
    logits[..., v]  = inputs · table[v] + bias[v]         reverse=True, float32 whatever the policy
    ```

    The table begins as N(0, 1 / D), so that the scaled vectors and the logits both have variance 1 per
    number, with zeros for the padding id.

    Differs from `keras.layers.ReversibleEmbedding`: the scale (without it, positions drown the tokens), the
    bias, and the first numbers in the table.

    Args:
        vocabulary_size: V.
        width: D.
        scale: whether the vectors are multiplied by sqrt(D) on the way in.
        use_bias: whether the logits have a bias.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: integer ids of any shape `[...]`; with `reverse`, `[..., D]`.
        reverse: whether to make logits.

    Returns:
        `[..., D]`; with `reverse`, float32 `[..., V]`.

    Raises:
        ValueError: for sizes below 1, or a `reverse` of inputs that are not D wide.

    Example:

    >>> import keras
    >>> from keras_attn.layers.embedding.token_embedding import TokenEmbedding
    >>> embedding = TokenEmbedding(11, 5)
    >>> hidden = embedding(keras.ops.array([[7, 3, 0]]))
    >>> tuple(hidden.shape), tuple(embedding(hidden, reverse=True).shape)
    ((1, 3, 5), (1, 3, 11))

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.4; Press and Wolf, "Using
    the Output Embedding to Improve Language Models", EACL 2017.
    """

    def __init__(
        self, vocabulary_size: int, width: int, *, scale: bool = True, use_bias: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_count("vocabulary_size", vocabulary_size)
        check_count("width", width)
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.scale = scale
        self.use_bias = use_bias

    def build(self, inputs_shape: Shape | None = None) -> None:
        """Makes the table `[V, D]` and the bias `[V]`."""
        # Neither is autocast: a look-up casts the rows that it takes, and the logits are float32.
        self.embeddings = self.add_weight(
            name="embeddings", shape=(self.vocabulary_size, self.width), initializer=_first, autocast=False
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.vocabulary_size,), initializer="zeros", autocast=False
            )
        self.built = True

    def call(self, inputs: Tensor, reverse: bool = False) -> Tensor:
        """See the class."""
        if reverse:
            return self._logits(inputs)
        rows = ops.cast(ops.take(self.embeddings, inputs, axis=0), self.compute_dtype)  # [..., D]
        return rows * math.sqrt(self.width) if self.scale else rows

    def compute_output_spec(self, inputs: Tensor, reverse: bool = False) -> Nested:
        """Shapes of the vectors or the logits."""
        if not reverse:
            return keras.KerasTensor((*inputs.shape, self.width), dtype=self.compute_dtype)
        if inputs.shape[-1] != self.width:
            raise ValueError(
                f"Layer {self.name!r} makes logits of what is as wide as its vectors. Expected [..., "
                f"{self.width}]. Received: shape {tuple(inputs.shape)}. Project the inputs to that width."
            )
        return keras.KerasTensor((*inputs.shape[:-1], self.vocabulary_size), dtype="float32")

    def get_config(self) -> Config:
        """Everything the constructor takes."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "width": self.width,
            "scale": self.scale,
            "use_bias": self.use_bias,
        }

    def _logits(self, hidden):
        table = ops.cast(self.embeddings, "float32")
        if keras.backend.standardize_dtype(hidden.dtype) == "bfloat16":
            logits = _exact_products(hidden, table)
        else:
            logits = ops.matmul(ops.cast(hidden, "float32"), ops.transpose(table))
        return logits if self.bias is None else logits + self.bias


def _exact_products(hidden, table):
    """bfloat16 `[..., D]` by float32 `[V, D]` to float32 `[..., V]`, whose gradients are made in bfloat16.

    As those of all other weights are under such a policy: these are the largest products of a training step.
    Float16, whose numbers end where small gradients begin, has nothing of the kind.
    """
    width, vocabulary_size = hidden.shape[-1], table.shape[0]

    @ops.custom_gradient
    def products(rows, table):
        logits = ops.matmul(ops.cast(rows, "float32"), ops.transpose(table))  # [N, V]

        def gradient(*arguments, upstream=None):
            upstream = ops.cast(arguments[0] if upstream is None else upstream, "bfloat16")
            of_table = ops.matmul(ops.transpose(upstream), rows)  # [V, D]
            return ops.matmul(upstream, ops.cast(table, "bfloat16")), ops.cast(of_table, "float32")

        return logits, gradient

    # A copy, for TensorFlow has no written-out gradient of what takes a variable.
    logits = products(ops.reshape(hidden, (-1, width)), ops.copy(table))
    return ops.reshape(logits, (*ops.shape(hidden)[:-1], vocabulary_size))


def _first(shape, dtype=None):
    """N(0, 1 / D), and zeros for the padding id."""
    rows = keras.initializers.RandomNormal(stddev=shape[1] ** -0.5)(shape, dtype)
    padding = ops.expand_dims(ops.arange(shape[0]) == PAD_ID, -1)
    return ops.where(padding, ops.zeros_like(rows), rows)
