"""Tensors of any length for operations that need something."""

from collections.abc import Callable, Mapping

from keras import ops

from keras_attn.typing import Tensor


def at_least(tensor: Tensor, least: Mapping[int, int]) -> Tensor:
    """The tensor, filled up with zeros where an axis is shorter than it has to be.

    A tensor of known and sufficient size is returned as it is.

    Args:
        tensor: of any shape, whose sizes may be unknown in a graph.
        least: the least size of some axes, a dictionary of axis to integer.

    Returns:
        A tensor of the same rank.
    """
    sizes = {axis: ops.shape(tensor)[axis] for axis in least}
    if all(isinstance(size, int) and size >= least[axis] for axis, size in sizes.items()):
        return tensor
    missing = {axis: _difference(least[axis], size) for axis, size in sizes.items()}
    return ops.pad(tensor, [(0, missing.get(axis, 0)) for axis in range(len(tensor.shape))])


def convolved(convolve: Callable[[Tensor], Tensor], inputs: Tensor, kernel_size: int) -> Tensor:
    """`convolve(inputs)` without padding, also for no rows and for fewer positions than the kernel has.

    The kernels of TensorFlow give such inputs back as they are, and so does this in a graph of unknown sizes:
    LiteRT does not know the operations of a padding that depends on sizes.

    Args:
        convolve: a function of `[B, T, C]`.
        inputs: `[B, T, C]`.
        kernel_size: of the convolution.

    Returns:
        `[B, max(0, T - kernel_size + 1), F]`.
    """
    num_rows, num_positions = ops.shape(inputs)[:2]
    if not (isinstance(num_rows, int) and isinstance(num_positions, int)):
        return convolve(inputs)
    filled = at_least(inputs, {0: 1, 1: kernel_size})
    outputs = convolve(filled)
    if filled is inputs:
        return outputs
    return outputs[:num_rows, : _difference(num_positions, kernel_size - 1)]


def _difference(size, other):
    """`max(0, size - other)` of integers or scalar tensors."""
    both_known = isinstance(size, int) and isinstance(other, int)
    return max(0, size - other) if both_known else ops.maximum(0, size - other)
