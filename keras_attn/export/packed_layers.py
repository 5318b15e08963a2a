"""What a packed Transformer is made of: few TensorFlow operations over weights that are constants."""

import numpy as np
import tensorflow as tf

# Added to the logits of hidden keys: after the softmax they are exactly 0.
_HIDDEN = -1e30
# Grappler takes a bias of nothing but zeros out of the graph, and with it goes the fusion that lets oneDNN
# keep its own layout of the weights: the product then takes several times as long. This changes no sum.
_ALMOST_ZERO = 1e-37
# oneDNN lays out constant weights of float32 in one way for up to 6 rows and in another one for 7 to 64, and
# does it anew in every call of a product that it has laid out for other rows, which takes several times as
# long as the product itself. So a product keeps to one range. From 9 rows on the plain product, which leaves
# the weights as they are, is the faster one by up to a sixth.
_RANGES = (6, 8)
# With so few weights the plain product is as fast for any number of rows.
_SMALL = 2**16


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


def row_ranges(rows):
    """Which range the number of rows `[R, D]` is in, for `PackedDense`: once for all products of a step.

    Returns:
        Booleans `[]`, whether R is at most each limit; None eagerly, where nothing is laid out.
    """
    return None if tf.executing_eagerly() else [tf.shape(rows)[0] <= limit for limit in _RANGES]


class PackedDense:
    """`activation(x W + b)` of rows `[R, D]`, in `dtype`.

    Args:
        kernel: array `[D, N]`.
        bias: `[N]`.
        dtype: what operands and results are cast to.
    """

    def __init__(self, kernel, bias, dtype):
        self.dtype = dtype
        self.is_plain = dtype == "float32" and kernel.size <= _SMALL
        self.is_laid_out = dtype == "bfloat16"  # whose layout is the same for any rows, and is always faster
        self.kernel = StoredOnce(kernel, dtype)
        self.bias = StoredOnce(bias if np.any(bias) else np.full_like(bias, _ALMOST_ZERO), dtype)
        self.negative_bias = StoredOnce(-bias, dtype)

    def __call__(self, rows, ranges=None, activation=tf.identity):
        """`[R, D]` to `[R, N]`.

        Args:
            rows: `[R, D]`.
            ranges: of `row_ranges`; None for rows that are many.
            activation: a function of `[R, N]`.
        """
        rows = tf.cast(rows, self.dtype)
        if self.is_laid_out:
            return activation(self._laid_out(rows))
        if self.is_plain or ranges is None:
            return activation(self._plain(rows))
        # Of the branches of a `tf.cond` each would hold the weights; with its own ops, they share them.
        parts = []
        for is_in_range in ranges:
            rows, part = tf.raw_ops.Switch(data=rows, pred=is_in_range)
            parts.append(activation(self._laid_out(part)))
        return tf.raw_ops.Merge(inputs=[*parts, activation(self._plain(rows))]).output

    def _laid_out(self, rows):
        """Grappler makes one op of it, with weights in oneDNN's layout."""
        return tf.nn.bias_add(tf.matmul(rows, self.kernel()), self.bias())

    def _plain(self, rows):
        """With a sum, Grappler would make the same op of it; with a difference it does not."""
        return tf.matmul(rows, self.kernel()) - self.negative_bias()


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
    logits = tf.cast(_batch_product(queries, keys, transpose=not transposed), tf.float32)  # [B, H, T, S]
    weights = tf.nn.softmax(logits if hidden is None else logits + hidden)
    return _batch_product(tf.cast(weights, values.dtype), values), weights


def _batch_product(rows, others, transpose=False):
    """`[..., T, E] x [..., E, S]`."""
    # V3 does without oneDNN, whose call takes longer than a product of single rows. In bfloat16 its sums are
    # rounded twice as coarsely.
    if rows.shape[-2] == 1 and rows.dtype == tf.float32:
        return tf.raw_ops.BatchMatMulV3(x=rows, y=others, Tout=rows.dtype, adj_y=transpose)
    return tf.matmul(rows, others, transpose_b=transpose)


def split_heads(rows, length, parts, num_heads):
    """`[B T, P H E]` to P tensors `[B, H, T, E]`.

    Args:
        rows: `[B T, P H E]`.
        length: T, an integer or a scalar tensor.
        parts: P.
        num_heads: H.
    """
    width = rows.shape[-1] // (parts * num_heads)
    if isinstance(length, int) and length == 1:
        return [tf.reshape(part, [-1, num_heads, 1, width]) for part in tf.split(rows, parts, axis=1)]
    heads = tf.reshape(rows, [-1, length, parts, num_heads, width])
    return tf.unstack(tf.transpose(heads, [2, 0, 3, 1, 4]))


def join_heads(context):
    """`[B, H, T, E]` to `[B T, H E]`."""
    width = context.shape[1] * context.shape[3]
    if context.shape[2] == 1:
        return tf.reshape(context, [-1, width])
    return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, width])
