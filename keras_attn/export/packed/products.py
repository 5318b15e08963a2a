"""Parts of a packed Transformer: few TensorFlow operations over weights that are constants."""

from typing import NamedTuple

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
# the weights as they are, is the faster one by up to a sixth; that of the logits, whose kernel has a row on
# every few pages and would have to be joined from narrower ones, from 33 rows on.
_RANGES, _RANGES_OF_LOGITS = (6, 8), (6, 32)
# A product with weights in oneDNN's layout reads them faster, and takes longer to begin. From so many weights
# on that pays where all weights of a step do not stay in the cache between steps, and where they do.
_LAID_OUT_FROM = 2**16, 2**18
# How many weights stay there: 24 MB of float32.
_CACHED = 6 * 2**20
# A plain product reads a few columns of all rows at a time. Where the rows of a kernel are pages apart the
# processor does not fetch ahead: up to a third longer for 8 to 32 rows. Narrower kernels gain nothing more.
_WIDEST = 512


class Products(NamedTuple):
    """How the products of a model are computed.

    Attributes:
        dtype: `"float32"` or `"bfloat16"`, of operands and results.
        laid_out_from: the number of weights from which few rows want them in oneDNN's layout.
        widest: how many columns a kernel has at most that can be cut; None where oneDNN lays out all of them.
        row_mean: the mean that normalised rows get, so that the bias of what reads them can be in its
            kernel; None for rows of mean 0. Rounded to bfloat16 the rows do not have it, and there a
            product adds its bias for nothing.
    """

    dtype: str
    laid_out_from: int
    widest: int | None
    row_mean: float | None


def products_for(dtype, num_weights):
    """`Products` of a model that reads `num_weights` weights in every step."""
    widest, row_mean = (_WIDEST, 1.0) if dtype == "float32" else (None, None)
    return Products(dtype, _LAID_OUT_FROM[num_weights <= _CACHED], widest, row_mean)


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


def row_ranges(tokens, of_logits=False):
    """Which range the number of tokens is in, for `routed`: once for all products of a step.

    Args:
        tokens: of any shape; each becomes a row.
        of_logits: whether for the product that makes logits, which has its own ranges.

    Returns:
        Booleans `[]`, whether they are at most each limit; None eagerly, where nothing is laid out.
    """
    limits = _RANGES_OF_LOGITS if of_logits else _RANGES
    return None if tf.executing_eagerly() else [tf.size(tokens) <= limit for limit in limits]


def routed(rows, ranges, products, compute):
    """Products of rows with weights, all in the layout for that number of rows.

    Args:
        rows: `[R, D]`.
        ranges: of `row_ranges`; None for rows that are many.
        products: every `PackedDense` that `compute` calls.
        compute: from rows and `is_laid_out`, an argument of the products, to `[R, N]`.

    Returns:
        `[R, N]`.
    """
    if ranges is None or not any(product.depends_on_rows for product in products):
        return compute(rows, is_laid_out=False)
    # Of the branches of a `tf.cond` each would hold the weights; with its own ops, they share them.
    parts = []
    for is_in_range in ranges:
        rows, part = tf.raw_ops.Switch(data=rows, pred=is_in_range)
        parts.append(compute(part, is_laid_out=True))
    return tf.raw_ops.Merge(inputs=[*parts, compute(rows, is_laid_out=False)]).output


class PackedDense:
    """`x W + b` of rows `[R, D]`, in the dtype of the products.

    Args:
        kernel: array `[D, N]`.
        bias: `[N]`.
        products: the `Products` of the model.

    Attributes:
        depends_on_rows: whether few rows want another layout than many.
    """

    def __init__(self, kernel, bias, products):
        self.dtype = dtype = products.dtype
        self.depends_on_rows = dtype == "float32" and kernel.size > products.laid_out_from
        self.kernel = StoredOnce(kernel, dtype)
        has_bias = np.any(bias)
        self.bias = StoredOnce(bias if has_bias else np.full_like(bias, _ALMOST_ZERO), dtype)
        self.negative_bias = StoredOnce(-bias, dtype) if has_bias else None

    def __call__(self, rows, is_laid_out=False):
        """`[R, D]` to `[R, N]`.

        Args:
            rows: `[R, D]`.
            is_laid_out: whether oneDNN may lay out the weights, because it will get no other range of rows.
        """
        product = tf.matmul(tf.cast(rows, self.dtype), self.kernel())
        # The layout of bfloat16 is the same for any number of rows, and is always faster.
        if self.dtype == "bfloat16" or (is_laid_out and self.depends_on_rows):
            return tf.nn.bias_add(product, self.bias())  # Grappler makes one op of the two
        if self.negative_bias is None:
            return product
        return product - self.negative_bias()  # with a sum it would, too


class PackedProjections:
    """Several dense layers of as many units, of the same rows: one product, or one each where that is wide.

    Args:
        weights: pairs of a kernel `[D, N]` and a bias `[N]`.
        products: the `Products` of the model.
    """

    def __init__(self, weights, products):
        self.count = len(weights)
        if products.widest is None:
            weights = [[np.concatenate(arrays, axis=-1) for arrays in zip(*weights, strict=True)]]
        self.products = [PackedDense(kernel, bias, products) for kernel, bias in weights]

    def __call__(self, rows, ranges=None):
        """`[R, D]` to as many `[R, N]`; `ranges` of `row_ranges`."""
        results = [routed(rows, ranges, [product], product) for product in self.products]
        if len(results) == self.count:
            return results
        # Faster than to split the columns.
        width = results[0].shape[-1] // self.count
        return tf.unstack(tf.reshape(results[0], [-1, self.count, width]), axis=1)


def hidden_logits(mask):
    """A mask of any shape as a term of logits: 0 where it keeps, almost -inf elsewhere."""
    return tf.where(mask, 0.0, _HIDDEN)


def attend(queries, keys, values, hidden=None, transposed=False):
    """Attention of queries that are scaled already; logits and softmax in float32.

    Args:
        queries: `[B, H, T, E]`.
        keys: `[B, H, S, E]`; with `transposed`, `[B, H, E, S]`.
        values: `[B, H, S, E]`.
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
