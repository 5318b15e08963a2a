"""Names for the types of public signatures. Aliases only: no framework is imported.

Keras gives each backend's tensors their own class and has no type that covers them all, so that a checker
reads `Tensor` as `Any`; the shapes are in the docstrings.
"""

import os
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

# A tensor of the backend, a symbolic `keras.KerasTensor`, or what `keras.ops.convert_to_tensor` takes.
Tensor: TypeAlias = Any
# A `keras.Model`: Keras has no types.
Model: TypeAlias = Any
# Tensors in a tuple, list, dictionary or named tuple, nested to any depth.
Nested: TypeAlias = Any
# Sizes are integers, or None where they are known only at run time.
Shape: TypeAlias = tuple[Any, ...]
# What `get_config` returns and `from_config` takes.
Config: TypeAlias = dict[str, Any]
# Of `keras.activations` and `keras.initializers`: a name, a configuration or a function.
Activation: TypeAlias = str | Callable[[Tensor], Tensor]
Initializer: TypeAlias = str | Config | Callable[..., Tensor]
StrPath: TypeAlias = str | os.PathLike[str]
# Arguments of models: recipes and constructors check the limits.
Count: TypeAlias = Annotated[int, ("minimum", 1)]
Rate: TypeAlias = Annotated[float, ("minimum", 0), ("below", 1)]
LuongScore: TypeAlias = Literal["dot", "general", "concat"]
Positions: TypeAlias = Literal["sinusoidal", "learned", "shaw", "t5", "alibi", "rotary"]
SelfAttentionImplementation: TypeAlias = Literal["full", "blockwise", "windowed"]
