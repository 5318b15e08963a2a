"""Inputs of a layer that belong to the same rows."""

import keras
from keras import ops


def check_batch(reference, **tensors):
    """Refuses tensors of another batch size: broadcasting would silently give one row to all of them.

    Sizes that a TensorFlow graph does not know yet are compared when it runs. XLA drops such comparisons.

    Args:
        reference: (name, tensor `[B, ...]`) of the argument that says what B is.
        **tensors: by the name of the argument, a tensor `[B, ...]`, a list of them or None.

    Raises:
        ValueError: naming the first argument that does not fit; where the graph has to find it,
            `tf.errors.InvalidArgumentError`.
    """
    name, tensor = reference
    for other_name, structure in tensors.items():
        for other in keras.tree.flatten(structure):
            if other is not None and other is not tensor:
                _check(name, tensor, other_name, other)


def _check(name, tensor, other_name, other):
    expected, received = tensor.shape[0], other.shape[0]
    message = f"`{other_name}` has another batch size than `{name}`. Expected {{}}. Received: {{}}."
    if expected is None or received is None:
        _check_in_graph(tensor, other, message)
    elif expected != received:
        raise ValueError(message.format(expected, received))


def _check_in_graph(tensor, other, message):
    if isinstance(tensor, keras.KerasTensor) or keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    expected, received = ops.shape(tensor)[0], ops.shape(other)[0]
    before, between, after = message.split("{}")
    tf.debugging.Assert(tf.equal(expected, received), [before, expected, between, received, after])
