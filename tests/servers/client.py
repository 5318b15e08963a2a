"""Loads exports as a server does, and writes what they answer: needs TensorFlow and tensorflow-text alone.

Usage: client.py EXPORTS ANSWERS NAME ...

Every export has two tries: TensorFlow's C++ loader, which is the servers' own and refuses ops that it does
not know, and a Session with XLA disabled, which answers the requests that lie beside the export. What one of
them raises is written instead of the answers. An export that ends the process leaves no file behind.
"""

import ctypes
import json
import pickle
import sys
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

LIBRARIES = ("libtensorflow_cc.so.2", "libtensorflow_cc.2.dylib")


def main(exports, answers, *names):
    library = tensorflow_library()
    library._ZN10tensorflow21DisableXlaCompilationEv()
    (answers / "ops.json").write_text(json.dumps(registered_ops()))
    for folder in (exports / name for name in names):
        requests = pickle.loads((folder / "requests").read_bytes())
        try:
            load_with_cpp(library, folder / "1")
            result = ask(folder / "1", requests)
        except Exception as error:
            result = f"{type(error).__name__}: {str(error)[:1000]}"
        (answers / folder.name).write_bytes(pickle.dumps(result))


def tensorflow_library():
    """TensorFlow's own, with its C interface."""
    home = Path(tf.__file__).parent
    (path,) = [home / name for name in LIBRARIES if (home / name).exists()]
    return ctypes.CDLL(str(path))


def registered_ops():
    """Every op of this TensorFlow: a dictionary of its name to its attributes.

    Those are a dictionary of name to the names of types and the texts that are allowed; `[]` where all are.
    """
    buffer = pywrap_tf_session.TF_GetAllOpList()
    ops = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(buffer)).op
    return {op.name: {attr.name: _allowed(attr.allowed_values.list) for attr in op.attr} for op in ops}


def load_with_cpp(library, path):
    """`LoadSavedModel` of C++: raises ValueError with its words where it does not take the export."""
    functions = ("TF_NewStatus", "TF_NewGraph", "TF_NewSessionOptions", "TF_LoadSessionFromSavedModel")
    for name in functions:
        getattr(library, name).restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p
    pointer = ctypes.c_void_p
    status, graph = pointer(library.TF_NewStatus()), pointer(library.TF_NewGraph())
    options = pointer(library.TF_NewSessionOptions())
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = library.TF_LoadSessionFromSavedModel(
        options, None, str(path).encode(), tags, 1, graph, None, status
    )
    if library.TF_GetCode(status):
        raise ValueError(library.TF_Message(status).decode(errors="replace"))
    library.TF_DeleteSession(pointer(session), status)
    library.TF_DeleteGraph(graph)


def ask(path, requests):
    """The answers of a Session to a list of (signature, inputs): dictionaries of arrays."""
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        return [_run(session, loaded.signature_def[name], inputs) for name, inputs in requests]


def _run(session, signature, inputs):
    feeds = {signature.inputs[name].name: value for name, value in inputs.items()}
    return session.run({key: info.name for key, info in signature.outputs.items()}, feeds)


def _allowed(values):
    return [tf.dtypes.as_dtype(kind).name for kind in values.type] + [text.decode() for text in values.s]


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *sys.argv[3:])
