"""The body of a predict request to that of its answer: in rows or columns, as the request is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_attn.serving.inference.signatures import Signature
from keras_attn.serving.json.inputs import read_inputs
from keras_attn.serving.json.outputs import write_outputs, write_predictions

Arrays = dict[str, np.ndarray]


def predict_json(
    document: dict, signature: Signature, asked_name: str, run: Callable[[Arrays], Arrays]
) -> tuple[bytes, Arrays]:
    """Answers a predict request.

    Args:
        document: the parsed body.
        signature: the signature to feed.
        asked_name: signature name as the request has it, for error texts.
        run: computes the outputs from the inputs, both name -> array.

    Returns:
        The body of the answer, and the outputs in it.

    Raises:
        ServingError: the inputs do not fit the signature, `run` failed, or JSON cannot hold an output.
    """
    inputs, by_row = read_inputs(document, signature, asked_name)
    outputs = run(inputs)
    return (write_predictions if by_row else write_outputs)(outputs), outputs
