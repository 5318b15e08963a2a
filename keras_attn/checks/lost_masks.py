"""Search for the layer at which a functional model loses one of Keras' implicit masks.

A mask travels as an attribute of a tensor. Layers hand it on; most functions of `keras.ops` do not, and
`embedded * 2.0` is such a function. A symbolic tensor carries its history, which tells where that happened.
A tensor with numbers in it has none: in an eager call or inside a `tf.function`, a mask that got lost looks
like one that never was, and nothing here can tell.
"""

from typing import Any

import keras

from keras_attn.typing import Tensor

# Functions of `keras.ops` that keep every place where it is, by the class of their node in the graph.
# fmt: off
_PLACEWISE = {
    "Absolute", "Add", "Cast", "Clip", "Divide", "Elu", "Erf", "Exp", "Gelu", "Identity",
    "LeakyRelu", "Log", "Maximum", "Minimum", "Multiply", "Negative", "Power", "Relu", "Rsqrt",
    "Sigmoid", "Silu", "Softplus", "Sqrt", "Square", "StopGradient", "Subtract", "Tanh",
    "TrueDivide", "Where",
}
# fmt: on


def require_mask(tensor: Tensor, argument: str, layer: keras.layers.Layer) -> None:
    """Raises where a layer is about to go without a mask that its input once had.

    For `compute_output_spec`, where a layer has been given no mask: neither as an argument nor on the tensor.

    Args:
        tensor: symbolic `[B, S, ...]`.
        argument: name of the argument that would take the mask.
        layer: the layer that is called.
    """
    loser = find_lost_mask(tensor)
    if loser is not None:
        raise ValueError(
            f"The padding mask of an input of layer {layer.name!r} got lost at {loser.name!r} "
            f"({type(loser).__name__}). Expected a mask, for padding would count as content. "
            f"Received: {argument}=None. Pass `{argument}=`, e.g. `keras.ops.not_equal(ids, 0)`; or use a "
            "layer that hands masks on, such as `keras.layers.Rescaling` or `keras.layers.Add`; or, where "
            f"padding is meant to count, pass a mask of ones as `{argument}=`."
        )


def find_lost_mask(tensor: Tensor) -> Any:
    """The operation that dropped the mask of a symbolic tensor.

    Goes back from the tensor through what leaves every place where it is, until a tensor has a mask.

    Args:
        tensor: anything; only symbolic tensors have a history.

    Returns:
        The operation or layer, or None where the tensor has a mask or never had one.
    """
    return _find(tensor, set())


def _find(tensor, seen):
    """`find_lost_mask`, each tensor once: of residuals, the ways back are more than can be gone."""
    node = node_of(tensor)
    if node is None or has_mask(tensor) or id(tensor) in seen:
        return None
    seen.add(id(tensor))
    for parent in _same_places(node, tensor):
        # A layer that supports masks and hands none on has done so knowingly.
        knowingly = getattr(node.operation, "supports_masking", False)
        found = node.operation if has_mask(parent) and not knowingly else _find(parent, seen)
        if found is not None:
            return found
    return None


def has_mask(tensor: Tensor) -> bool:
    """Whether Keras carries a mask along with the tensor."""
    return getattr(tensor, "_keras_mask", None) is not None


def node_of(tensor: Tensor) -> Any:
    """The call that made a symbolic tensor, or None for a tensor without history."""
    operation, index, _ = getattr(tensor, "_keras_history", (None, 0, 0))
    return None if operation is None else operation._inbound_nodes[index]


def _same_places(node, tensor):
    """The inputs of a call whose place t the output's place t is made of, with or without its neighbours."""
    operation = node.operation
    if isinstance(operation, keras.layers.Layer):
        # Of several inputs, the first is what a layer works on. A model inside a model is not looked into.
        candidates = [] if isinstance(operation, keras.Model) else node.input_tensors[:1]
    else:
        candidates = node.input_tensors if type(operation).__name__ in _PLACEWISE else []
    rank = len(tensor.shape)
    return [x for x in candidates if len(x.shape) == rank and x.shape[:2] == tensor.shape[:2]]
