"""Differences between training on TensorFlow and on JAX."""

import keras

from keras_attn.typing import Model


def compiles() -> bool:
    """Whether `fit` lets XLA compile the training step, for `jit_compile`.

    JAX runs nothing fast without, and compiles anew for every shape of a batch (`training.batch_tokens` makes
    few of them). On TensorFlow it would refuse what these models do, or take longer than it saves.
    """
    return keras.backend.backend() == "jax"


def synchronized(model: Model) -> Model:
    """The model with the values that its variables have now.

    Between two batches of `fit`, JAX keeps them beside the model. On TensorFlow there is nothing to do.
    """
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    return model
