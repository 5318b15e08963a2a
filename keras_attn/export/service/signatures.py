"""From the methods of a service to the signatures of a SavedModel."""

import inspect
from functools import cache, partial

import tensorflow as tf

from keras_attn.export.service.encoder_states import has_encoder_states
from keras_attn.export.service.in_graph_batching import batched
from keras_attn.export.service.options import OPTIONS
from keras_attn.export.service.traced_decoder import with_traced_decoder

# Inputs of each signature, by the name of the method of `Service` that answers it: those that a request must
# have, and those that take their defaults.
_INPUTS = {
    "serving_default": (("text",), ()),
    "n_best": (("text",), ("max_length", "length_penalty", "target_prefix")),
    "sample": (
        ("text",),
        ("stream", "temperature", "top_k", "top_p", "seed", "max_length", "target_prefix"),
    ),
    "stream": (("text",), ("stream", "max_length", "target_prefix")),
    "stream_events": (("wait",), ()),
    "score": (("text", "target"), ()),
    "align": (("text",), ("target",)),
    "decode_ids": (("ids", "lengths"), ("max_length",)),
    "encode": (("text",), ()),
}
# The same as a `tf.TensorSpec` for each input.
INPUTS = {
    name: {key: OPTIONS[key].spec for key in (*required, *optional)}
    for name, (required, optional) in _INPUTS.items()
}


def signature_names(service):
    """Names of the signatures of a service: all, without `encode` where the model has none."""
    encodes = has_encoder_states(service.text_to_text.model)
    return [name for name in INPUTS if encodes or name != "encode"]


def signature_defaults(service, name):
    """Values that a server fills in for inputs that a request omits.

    Args:
        service: a `Service`.
        name: of a signature.

    Returns:
        A dictionary of input name to a tensor `[1]`. One value for all rows, so that it fits any request;
        where a server joins requests to batches, requests of one row keep fitting.
    """
    _, optional = _INPUTS[name]
    return {key: tf.constant([service.defaults[key]], OPTIONS[key].dtype) for key in optional}


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
        if batching is not None and all(OPTIONS[key].joinable for key in INPUTS[name]):
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
