"""What a packed Transformer is made of: few TensorFlow operations over weights that are constants."""

import numpy as np
import tensorflow as tf

# Added to the logits of hidden keys: after the softmax they are exactly 0.
_HIDDEN = -1e30
# Grappler takes a bias of nothing but zeros out of the graph, and with it goes the fusion that lets oneDNN
# keep its own layout of the weights: the product then takes several times as long. This changes no sum.
_ALMOST_ZERO = 1e-37
_MANY_ROWS = 100


class StoredOnce:
    """A weight that every graph holds as a constant, and a SavedModel once, however many graphs read it.

    Constants of a graph (unlike variables, and unlike tensors that a function captures) are laid out once for
    oneDNN's products. Each would be written into every function that uses it; as a function of its own it is
    written once, and is put in its place when the graph is loaded.

    Args:
        array: a NumPy array.
        dtype: name of the dtype that it is kept in.
    """

    def __init__(self, array, dtype):
        array = np.ascontiguousarray(array).astype(tf.as_dtype(dtype).as_numpy_dtype)
        function = tf.function(lambda: tf.constant(array), autograph=False)
        self._function = function.get_concrete_function()

    def __call__(self):
        """The tensor."""
        return self._function()


class PackedDense:
    """`activation(x W + b)` of rows `[R, D]`, in `dtype`.

    Args:
        kernel: `[D, N]`; with `transposed`, `[N, D]`; an array or a `StoredOnce`.
        bias: `[N]`, or None.
        dtype: what operands and results are cast to.
        transposed: whether the kernel lies the other way, as a table of embeddings does.
    """

    def __init__(self, kernel, bias, dtype, transposed=False):
        self.dtype = dtype
        self.transposed = transposed
        if not isinstance(kernel, StoredOnce):
            kernel = StoredOnce(kernel, dtype)
        self.kernel = kernel
        self.bias = StoredOnce(bias if np.any(bias) else np.full_like(bias, _ALMOST_ZERO), dtype)

    def __call__(self, rows):
        """`[R, D]` to `[R, N]`."""
        return tf.nn.bias_add(self._product(rows), self.bias())

    def _product(self, rows):
        return tf.matmul(tf.cast(rows, self.dtype), self.kernel(), transpose_b=self.transposed)


class PackedLogits(PackedDense):
    """`x W + b` of few rows or many, with a W that is wide.

    oneDNN's product of weights in its own layout is the faster one for a few rows, and its plain product for
    many, float32 at least: measured with `[m, 512] x [512, 32000]`, 6.4 against 7.9 ms at m = 8, 12 against
    14 ms at m = 64, and 45 against 43 ms at m = 256.
    """

    def __init__(self, kernel, bias, dtype, transposed=False):
        super().__init__(kernel, bias, dtype, transposed)
        self.has_two_ways = dtype == "float32" and not np.any(bias)

    def __call__(self, rows):
        """`[R, D]` to `[R, N]`."""
        if not self.has_two_ways:
            return super().__call__(rows)
        many = tf.shape(rows)[0] >= _MANY_ROWS
        return tf.cond(many, lambda: self._product(rows), lambda: PackedDense.__call__(self, rows))


class PackedNorm:
    """Layer normalisation of rows `[R, D]` in float32.

    Args:
        gain: `[D]`; None where it is folded into what comes next.
        offset: `[D]`, likewise.
        epsilon: added to the variance.
    """

    def __init__(self, gain, offset, epsilon):
        self.epsilon = epsilon
        self.affine = None
        if gain is not None:
            self.affine = StoredOnce(gain, "float32"), StoredOnce(offset, "float32")

    def __call__(self, rows):
        """`[R, D]`, float32."""
        centred = rows - tf.reduce_mean(rows, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        normed = centred * tf.math.rsqrt(variance + self.epsilon)
        if self.affine is None:
            return normed
        gain, offset = self.affine
        return normed * gain() + offset()


def hidden_logits(mask):
    """What to add to logits: 0 where the mask, of any shape, keeps, almost -inf elsewhere."""
    return tf.where(mask, 0.0, _HIDDEN)


def attend(queries, keys, values, hidden=None, transposed=False):
    """Attention of queries that are scaled already; logits and softmax in float32.

    Args:
        queries: `[B, H, T, E]`.
        keys: `[B, H, S, E]`; with `transposed`, `[B, H, E, S]`.
        values: `[B, H, S, E]`; those of hidden keys must be 0, so that a row with no key to see gives 0.
        hidden: what to add to the logits, of `hidden_logits`; or None.
        transposed: how the keys lie.

    Returns:
        context `[B, H, T, E]` in the dtype of the values, and float32 weights `[B, H, T, S]`.
    """
    logits = tf.cast(tf.matmul(queries, keys, transpose_b=not transposed), tf.float32)  # [B, H, T, S]
    weights = tf.nn.softmax(logits if hidden is None else logits + hidden)
    return tf.matmul(tf.cast(weights, values.dtype), values), weights


def split_heads(rows, batch, parts, num_heads):
    """`[B T, P H E]` to `[P, B, H, T, E]`, whose first axis is free to take apart."""
    width = rows.shape[-1] // (parts * num_heads)
    heads = tf.reshape(rows, tf.stack([batch, tf.shape(rows)[0] // batch, parts, num_heads, width]))
    return tf.transpose(heads, [2, 0, 3, 1, 4])


def join_heads(context):
    """`[B, H, T, E]` to `[B T, H E]`."""
    width = context.shape[1] * context.shape[3]
    if context.shape[2] == 1:
        return tf.reshape(context, [-1, width])
    return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, width])
