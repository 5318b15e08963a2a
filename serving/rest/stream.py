"""A predict request whose text is reported to a listener while it is decoded."""

from __future__ import annotations

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.predict import run_predict
from keras_attn.serving.inference.row_options import rows_of
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import Signature
from keras_attn.serving.inference.stream_reader import EVENTS, STREAM, Listener, can_stream
from keras_attn.serving.json.inputs import signature_name
from keras_attn.serving.rest.predict import Arrays, predict_json


def run_stream(servable: Servable, document: dict, listener: Listener, timeout_ms: int) -> bytes:
    """Runs a signature and reports each row's text to a listener as it grows.

    Args:
        servable: the model version.
        document: the body, as that of a predict request; without `signature_name` it is for `stream`.
        listener: called with the number of a row and its text so far, at last with the whole text.
        timeout_ms: limit in milliseconds; 0 means none.

    Returns:
        The answer of a predict request.

    Raises:
        ServingError: the version or the signature cannot stream, or what a predict request would raise.
    """
    asked = signature_name(document) or STREAM
    signature = _signature(servable, asked)

    def run(inputs: Arrays) -> Arrays:
        if STREAM in inputs:
            raise invalid(f"Input `{STREAM}` is the server's own to choose. Leave it out.")
        rows = rows_of(signature, inputs)
        if rows is None:
            raise invalid("A stream needs rows. Expected a list of texts. Received: a single value.")
        with servable.streams.follow(rows, listener) as numbers:
            return run_predict(servable, signature, {**inputs, STREAM: numbers}, timeout_ms=timeout_ms)

    body, outputs = predict_json(document, signature, asked, run)
    for row, text in enumerate(outputs["text"].tolist()):
        listener(row, text)
    return body


def _signature(servable: Servable, asked: str) -> Signature:
    what = f"Model {servable.name} version {servable.version}"
    if servable.streams is None:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f'{what} cannot stream. Expected the signatures "{STREAM}" and "{EVENTS}", which keras-attn'
            " export writes. Export the model again, or ask for the whole answer with :predict.",
        )
    signature = servable.signatures.get(asked)
    if signature is None or not can_stream(signature):
        able = sorted(name for name, value in servable.signatures.items() if can_stream(value))
        raise invalid(f'{what} cannot stream signature "{asked}". Expected one of: {", ".join(able)}.')
    return signature
