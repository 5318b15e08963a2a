"""The description of an export that is written beside it."""

from importlib.metadata import version
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.decoding import BeamSearch, Greedy, Sampling
from keras_attn.export.verification.servable_ops import features_of, least_server_version, ops_of

# Raised when something that reads an export would have to know.
FORMAT = 1
_STRATEGIES = {
    type(None): "greedy",
    Greedy: "greedy",
    BeamSearch: "beam_search",
    Sampling: "sampling",
}
_PACKAGES = ("keras-attn", "tensorflow", "keras", "tensorflow-text")


def make_manifest(folder, service, batching):
    """Describes an export.

    Args:
        folder: the folder of the version, with its `saved_model.pb`.
        service: the `Service` that was exported.
        batching: the `InGraphBatching` that it was exported with, or None.

    Returns:
        A dictionary that JSON can carry.
    """
    saved = saved_model_pb2.SavedModel.FromString((Path(folder) / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    ops = sorted(ops_of(meta_graph.graph_def))
    return {
        "format": FORMAT,
        "versions": {name: version(name) for name in _PACKAGES},
        "model": type(service.text_to_text.model).__name__,
        "decoding": _decoding(service),
        "in_graph_batching": batching and batching._asdict(),
        "signatures": {
            name: _signature(definition)
            for name, definition in sorted(meta_graph.signature_def.items())
            if not name.startswith("__")
        },
        "least_server_version": least_server_version(features_of(meta_graph.graph_def)),
        "ops": ops,
    }


def _decoding(service):
    inner, beam = service.text_to_text, service.beam
    own = isinstance(inner.strategy, BeamSearch)
    return {
        "max_length": inner.max_length,
        "max_source_length": inner.max_source_length,
        "strategy": _STRATEGIES.get(type(inner.strategy), type(inner.strategy).__name__),
        "beam_size": inner.strategy.beam_size if own else 1,
        "length_penalty": type(beam.length_penalty).__name__ if beam.length_penalty else None,
        "n_best_beam_size": service.beam_size,
        "num_hypotheses": service.num_hypotheses,
    }


def _signature(definition):
    inputs = {name: _tensor(info) for name, info in sorted(definition.inputs.items())}
    for name, default in definition.defaults.items():
        (value,) = tf.make_ndarray(default).tolist()
        inputs[name]["default"] = value.decode() if isinstance(value, bytes) else value
    return {
        "inputs": inputs,
        "outputs": {name: _tensor(info) for name, info in sorted(definition.outputs.items())},
    }


def _tensor(info):
    shape = [None if axis.size < 0 else axis.size for axis in info.tensor_shape.dim]
    return {"dtype": tf.dtypes.as_dtype(info.dtype).name, "shape": shape}
