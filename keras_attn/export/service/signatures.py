"""From the methods of a service to the signatures of a SavedModel."""

import inspect
from functools import cache, partial

import tensorflow as tf

from keras_attn.export.service.encoder_states import has_encoder_states
from keras_attn.export.service.in_graph_batching import batched
from keras_attn.export.service.traced_decoder import with_traced_decoder

_TEXT = tf.TensorSpec([None], tf.string)
_INTEGER = tf.TensorSpec([None], tf.int32)
_NUMBER = tf.TensorSpec([None], tf.float32)
_STREAM = {"stream": tf.TensorSpec([None], tf.int64)}
_SAMPLING = {
    "temperature": _NUMBER,
    "top_k": _INTEGER,
    "top_p": _NUMBER,
    "seed": tf.TensorSpec([None], tf.int64),
}
_LIMITS = {"max_length": _INTEGER, "target_prefix": _TEXT}

# What each signature takes, by the name of the method of `Service` that answers it.
INPUTS = {
    "serving_default": {"text": _TEXT},
    "n_best": {"text": _TEXT, "max_length": _INTEGER, "length_penalty": _NUMBER, "target_prefix": _TEXT},
    "sample": {"text": _TEXT, **_STREAM, **_SAMPLING, **_LIMITS},
    "stream": {"text": _TEXT, **_STREAM, **_LIMITS},
    "stream_events": {"wait": tf.TensorSpec([None], tf.bool)},
    "score": {"text": _TEXT, "target": _TEXT},
    "align": {"text": _TEXT, "target": _TEXT},
    "decode_ids": {
        "ids": tf.TensorSpec([None, None], tf.int32),
        "lengths": _INTEGER,
        "max_length": _INTEGER,
    },
    "encode": {"text": _TEXT},
}

# Ids of different widths cannot be joined, and whoever waits must not hold up others; everything else is one
# value a row.
_NEVER_JOINED = ("decode_ids", "stream_events")


def signature_names(service):
    """The signatures that a service can have: all, but for `encode` where the encoder is not known."""
    encodes = has_encoder_states(service.text_to_text.model)
    return [name for name in INPUTS if encodes or name != "encode"]


def signature_defaults(service, name):
    """What a server fills in where a request leaves an input out.

    Args:
        service: a `Service`.
        name: of a signature.

    Returns:
        A dictionary of input name to a tensor `[1]`. One value for all rows, so that it fits any request;
        where a server joins requests to batches, requests of one row keep fitting.
    """
    # To score a target there has to be one; to align, it may be left to the model.
    defaults = service.defaults | ({"target": ""} if name == "align" else {})
    inputs = INPUTS[name]
    return {key: tf.constant([defaults[key]], inputs[key].dtype) for key in inputs if key in defaults}


def signature_functions(service, batching=None):
    """The signatures as `tf.function`s, which `tf.saved_model.save` takes.

    Args:
        service: a `Service`.
        batching: an `InGraphBatching`, or None.

    Returns:
        A dictionary of name to `tf.function`.
    """
    service, functions = with_traced_decoder(service), {}
    for name in signature_names(service):
        answer = partial(service.answer, name)
        if batching is not None and name not in _NEVER_JOINED:
            answer = batched(answer, service, batching)
        functions[name] = _traceable(answer, INPUTS[name], signature_defaults(service, name))
    return functions


def _traceable(answer, inputs, defaults):
    """A `tf.function` whose Python signature names the inputs and their defaults: both go into the file."""
    order = sorted(inputs, key=lambda name: name in defaults)  # in Python, defaults come last
    specs = [tf.TensorSpec(inputs[name].shape, inputs[name].dtype, name) for name in order]

    @partial(tf.function, input_signature=specs, autograph=False)
    def traced(*values):
        return answer(dict(zip(order, values, strict=True)))

    @cache
    def concrete():
        with tf.init_scope():
            return traced.get_concrete_function()

    def run(*values):
        return concrete()(*values)  # it is traced again when it is saved, which takes no time for one call

    kind, none = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    run.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind, default=defaults.get(name, none)) for name in order]
    )
    return tf.function(run, input_signature=specs, autograph=False)
