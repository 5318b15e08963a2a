"""The `Input` message of classify and regress requests as what a graph is fed with."""

from __future__ import annotations

import numpy as np
from tensorflow_serving.apis import input_pb2

from keras_attn.serving.errors import invalid


def serialized_examples(message: input_pb2.Input) -> np.ndarray:
    """Returns each example as the bytes of a `tf.Example`.

    A context that all examples share is put in front of each: where messages are concatenated, their
    fields are merged, and what comes later wins.

    Args:
        message: examples, with or without a context.

    Returns:
        Object array of bytes, `[B]`.

    Raises:
        ServingError: there is no example.
    """
    context, examples = b"", message.example_list.examples
    if message.WhichOneof("kind") == "example_list_with_context":
        context = message.example_list_with_context.context.SerializeToString()
        examples = message.example_list_with_context.examples
    if not examples:
        raise invalid("Input is empty.")
    array = np.empty(len(examples), dtype=object)
    array[:] = [context + example.SerializeToString() for example in examples]
    return array
