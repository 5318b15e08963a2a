"""Backends that answer requests: the model itself, TensorFlow's loader, and a Session as servers use it."""

import numpy as np
import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.verification.comparison import as_arrays
from keras_attn.export.verification.streams import follow_session


class EagerBackend:
    """The model in this process, without any graph.

    It is asked once for all rows: a step of its loop costs a hundred times that of a graph, and what is to be
    proven is that the export gives these answers, in whatever batches.

    Args:
        service: a `Service`.
    """

    name = "eager"
    asks_once = True

    def __init__(self, service):
        self._service = service

    def ask(self, signature, inputs):
        """Arrays by input name to arrays by output name."""
        tensors = {name: tf.constant(x, INPUTS[signature][name].dtype) for name, x in inputs.items()}
        return as_arrays(self._service.answer(signature, tensors))


class LoadedBackend:
    """`tf.saved_model.load`.

    Args:
        folder: of the version.
    """

    name = "tf.saved_model.load"

    def __init__(self, folder):
        self._loaded = tf.saved_model.load(str(folder))  # its variables live no longer than it does

    def ask(self, signature, inputs):
        """Arrays by input name to arrays by output name."""
        run = self._loaded.signatures[signature]
        specs = run.structured_input_signature[1]
        tensors = {name: tf.constant(x, specs[name].dtype) for name, x in inputs.items()}
        return as_arrays(run(**tensors))


class SessionBackend:
    """A Session on the graph, as TensorFlow Serving runs it.

    Args:
        folder: of the version.
        optimizes: whether the graph is optimised at the first run of a signature, as TensorFlow Serving does;
            an export has been already.
    """

    name = "Session"

    def __init__(self, folder, optimizes=True):
        graph = tf.Graph()
        settings = tf.compat.v1.ConfigProto()
        settings.graph_options.rewrite_options.disable_meta_optimizer = not optimizes
        self._session = tf.compat.v1.Session(graph=graph, config=settings)
        with graph.as_default():
            # `tf.compat.v1.saved_model.load` is this and a line of warning.
            loaded = SavedModelLoader(str(folder)).load(self._session, ["serve"])
        self._signatures = loaded.signature_def

    def ask(self, signature, inputs):
        """Arrays by input name to arrays by output name; omitted inputs take their defaults."""
        definition = self._signatures[signature]
        inputs = {key: tf.make_ndarray(value) for key, value in definition.defaults.items()} | inputs
        feeds = {definition.inputs[name].name: np.asarray(value) for name, value in inputs.items()}
        fetches = {name: info.name for name, info in definition.outputs.items()}
        return as_arrays(self._session.run(fetches, feeds))

    def follow(self, text):
        """The texts so far, and the answer, of one text as bytes; see `check_streams`."""
        return follow_session(self, text)

    def close(self):
        """Gives the Session's memory back."""
        self._session.close()
