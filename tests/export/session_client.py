"""Runs a SavedModel as TensorFlow Serving's binary does: a Session on the graph, with XLA disabled.

Reads JSON `{"path": ..., "batches": [[base64 text, ...], ...]}` from stdin and writes the outputs of each
batch, strings as base64, to stdout.
"""

import base64
import ctypes
import json
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401


def main():
    _disable_xla()
    request = json.load(sys.stdin)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], request["path"])
        answers = [_run(session, loaded.signature_def, batch) for batch in request["batches"]]
    ours = sorted(name for name in sys.modules if name.split(".")[0] == "keras_attn")
    assert not ours, ours
    json.dump(answers, sys.stdout)


def _disable_xla():
    library = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
    ctypes.CDLL(str(library))._ZN10tensorflow21DisableXlaCompilationEv()
    try:
        tf.function(lambda: tf.range(3) * 2, jit_compile=True)()
        message = "it compiles"
    except tf.errors.OpError as error:
        message = error.message
    # Else this process would hide what TensorFlow Serving refuses.
    assert "XLA compilation disabled" in message, message


def _run(session, signatures, batch):
    texts = [base64.b64decode(text) for text in batch]
    answer = {}
    for name in ("serving_default", "align"):
        signature = signatures[name]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        answer[name] = session.run(fetches, {signature.inputs["text"].name: texts})
    return {name: {key: _plain(x) for key, x in outputs.items()} for name, outputs in answer.items()}


def _plain(array):
    if array.dtype != object:
        return array.tolist()
    flat = [base64.b64encode(text).decode() for text in array.reshape(-1)]
    return {"shape": array.shape, "base64": flat}


main()
