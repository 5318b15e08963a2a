"""What Keras' wrappers ask a layer for, such as `TimeDistributed`."""

import keras


class OutputShape:
    """Gives a layer that has `compute_output_spec` what Keras asks for where there are no tensors."""

    def compute_output_shape(self, *shapes, **named_shapes):
        """Shapes of what the call returns.

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
