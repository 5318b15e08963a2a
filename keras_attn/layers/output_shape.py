"""Output shapes of layers, as wrappers such as `keras.layers.TimeDistributed` ask for them."""

from collections.abc import Callable
from typing import Any

import keras

from keras_attn.typing import Nested, Shape


class OutputShape:
    """Computes the output shapes of a layer from its `compute_output_spec`, without tensors."""

    compute_output_spec: Callable[..., Nested]

    def compute_output_shape(self, *shapes: Shape, **named_shapes: Any) -> Nested:
        """Computes the shapes of the outputs.

        Args:
            *shapes: of the tensors of the call, in its order.
            **named_shapes: by their argument's name and `_shape`, such as `value_shape`.

        Returns:
            A shape, or a tuple of them where the call returns several tensors.
        """
        tensors = [keras.KerasTensor(shape) for shape in shapes]
        named = {name.removesuffix("_shape"): shape for name, shape in named_shapes.items()}
        named = {name: None if shape is None else keras.KerasTensor(shape) for name, shape in named.items()}
        return keras.tree.map_structure(lambda x: x.shape, self.compute_output_spec(*tensors, **named))
