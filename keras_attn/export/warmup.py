"""Requests that a server replays before it announces a version."""

from pathlib import Path

import tensorflow as tf

from keras_attn.export.service.signatures import INPUTS, signature_names
from keras_attn.export.verification.requests import example_texts
from keras_attn.tokenizers.token_ids import token_ids

WARMUP_PATH = Path("assets.extra") / "tf_serving_warmup_requests"
# The first run of a signature prepares its graph; a text of another length costs little more than its tokens.
_NUM_TOKENS = 16
# Rows of the two requests a signature: kernels are chosen, and weights laid out, for one row and for several.
_BATCH_SIZES = (1, 3)
# Field numbers of PredictionLog, PredictLog, PredictRequest, ModelSpec, and of a map's entries.
_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _INPUTS, _SIGNATURE_NAME, _KEY, _VALUE = 6, 1, 1, 2, 3, 1, 2


def warmup_requests(service):
    """Requests for every signature of a service: one of a single row, and one of several.

    Args:
        service: a `Service`.

    Returns:
        A list of (signature name, inputs by name, all of them spelt out).
    """
    inner = service.text_to_text
    text = example_texts(inner.source_tokenizer, inner.max_source_length, (_NUM_TOKENS,))[-1]
    return [
        (name, _inputs(service, name, tf.constant([text]), batch_size))
        for name in signature_names(service)
        for batch_size in _BATCH_SIZES
    ]


def write_warmup_requests(folder, requests):
    """Writes `assets.extra/tf_serving_warmup_requests`, as TensorFlow Serving reads it.

    Args:
        folder: the folder of the version.
        requests: what `warmup_requests` returned.
    """
    path = Path(folder) / WARMUP_PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in requests:
            writer.write(_prediction_log(name, inputs))


def _inputs(service, name, text, batch_size):
    ids = token_ids(service.text_to_text.source_tokenizer, text, service.text_to_text.max_source_length)
    inputs = {key: tf.constant([service.defaults[key]], spec.dtype) for key, spec in INPUTS[name].items()}
    inputs |= {"text": text, "ids": ids[:, :-1], "lengths": tf.fill([1], tf.shape(ids)[1] - 1)}
    return {key: tf.repeat(inputs[key], batch_size, axis=0) for key in INPUTS[name]}


def _prediction_log(name, inputs):
    """A `PredictionLog` with one `PredictRequest`, written by hand: its classes are another package's."""
    request = _field(_MODEL_SPEC, _field(_SIGNATURE_NAME, name.encode()))
    for key, tensor in inputs.items():
        proto = tf.make_tensor_proto(tensor.numpy()).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, key.encode()) + _field(_VALUE, proto))
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number, payload):
    """A length-delimited field of a protocol buffer."""
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(number):
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
