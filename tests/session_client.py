"""Runs a SavedModel as TensorFlow Serving's binary does: a Session on the graph, with XLA disabled.

Reads paths of MODEL, REQUESTS and ANSWERS from its input, a JSON list a line: takes a pickled list of
(signature, inputs) from REQUESTS, writes a pickled list of outputs, or of the error's text, to ANSWERS, and
then a line. What is left out takes its default.
"""

import ctypes
import json
import pickle
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401
from tensorflow.python.framework import tensor_util


def main():
    _disable_xla()
    for line in sys.stdin:
        answer(*json.loads(line))
        print("done", flush=True)


def answer(path, requests, answers):
    requests = pickle.loads(Path(requests).read_bytes())
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], path)
        results = [_run(session, loaded.signature_def[name], inputs) for name, inputs in requests]
    ours = sorted(name for name in sys.modules if name.split(".")[0] == "keras_attn")
    assert not ours, ours
    Path(answers).write_bytes(pickle.dumps(results))


def _disable_xla():
    library = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
    ctypes.CDLL(str(library))._ZN10tensorflow21DisableXlaCompilationEv()
    try:
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1.0))
    except tf.errors.InternalError:
        return
    raise AssertionError("XLA is still there.")


def _run(session, signature, inputs):
    defaults = {name: tensor_util.MakeNdarray(value) for name, value in signature.defaults.items()}
    feeds = {signature.inputs[name].name: value for name, value in {**defaults, **inputs}.items()}
    try:
        return session.run({key: info.name for key, info in signature.outputs.items()}, feeds)
    except tf.errors.InvalidArgumentError as error:
        return error.message


main()
