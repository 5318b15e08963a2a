"""A SavedModel's graph in TensorFlow's C++ only, with no Python object a node.

`tf.import_graph_def` makes a Python object of every node, which takes most of the time and of the memory of
loading a graph that is never built on. Here only the nodes that a server names have a handle.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from keras_attn.quiet import import_tensorflow
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.file_system import exists

tf = import_tensorflow()

from tensorflow.python.client import pywrap_tf_session as _pywrap  # noqa: E402
from tensorflow.python.saved_model.loader_impl import SavedModelLoader, get_asset_tensors  # noqa: E402

_INIT_SIGNATURE = "__saved_model_init_op"
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
# The collection by which an export of this library tells that its graph is optimised already.
OPTIMIZED = "keras_attn_optimized"


class ImportedGraph:
    """The graph of a SavedModel, and what its files say of it.

    Args:
        directory: of the SavedModel; a URL where TensorFlow has a file system for it.
        tags: of the MetaGraph.

    Attributes:
        graph: a `tf.Graph` for a session; it knows no operation in Python.
        signature_defs: name -> `SignatureDef`.
        is_optimized: whether the passes of TensorFlow's graph optimiser have run at export.

    Raises:
        OSError: the file cannot be parsed.
        RuntimeError: there is no MetaGraph with these tags.
        tf.errors.InvalidArgumentError: the graph has an op that this TensorFlow lacks, or is broken.
    """

    def __init__(self, directory: str, tags: Sequence[str]):
        self._directory = directory
        meta_graph = SavedModelLoader(directory).get_meta_graph_def_from_tags(list(tags))
        self.is_optimized = OPTIMIZED in meta_graph.collection_def
        # Copies: a message that is part of another one keeps all of it in memory, here the whole graph.
        self.signature_defs = {key: _copy(value) for key, value in meta_graph.signature_def.items()}
        self._saver = _copy(meta_graph.saver_def)
        self._assets = get_asset_tensors(directory, meta_graph)
        self._init_op = _init_op(meta_graph)
        self.graph = tf.Graph()
        known = {node.name for node in meta_graph.graph_def.node}
        names = sorted(known & {_node(name) for name in self._names()})
        self._operations = dict(zip(names, _imported(self.graph, meta_graph.graph_def, names), strict=True))

    def output(self, name: str) -> object:
        """Returns the handle of a tensor that a signature names.

        Raises:
            KeyError: there is none of this name.
        """
        node, _, index = name.partition(":")
        output = _pywrap.TF_Output()
        output.oper, output.index = self._operations[node], int(index or 0)
        if output.index >= _pywrap.TF_OperationNumOutputs(output.oper):
            raise KeyError(name)
        return output

    def initialize(self, session: object) -> None:
        """Restores the variables in a session, and runs what the SavedModel wants run first.

        Args:
            session: a `tf.compat.v1.Session` on `graph`.

        Raises:
            ServingError: there are variables, and no file with their values.
        """
        assets = {self.output(name): _text(path) for name, path in self._assets.items()}
        restore, filename = self._saver.restore_op_name, self._saver.filename_tensor_name
        if restore:
            prefix = os.path.join(self._directory, "variables", "variables")
            self._check_variables(prefix)
            _run(session, {**assets, self.output(filename): _text(prefix)}, self._operations[_node(restore)])
        if self._init_op:
            _run(session, assets, self._operations[_node(self._init_op)])

    def _check_variables(self, prefix: str) -> None:
        if not exists(f"{prefix}.index"):
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"SavedModel at {self._directory} has no variables/variables.index. Expected a complete"
                " copy. Copy a version under another name first, then rename it to its number.",
            )

    def _names(self) -> Iterable[str]:
        for signature in self.signature_defs.values():
            yield from (
                info.name for infos in (signature.inputs, signature.outputs) for info in infos.values()
            )
        yield from (self._saver.restore_op_name, self._saver.filename_tensor_name, self._init_op)
        yield from self._assets


def _imported(graph: object, graph_def: object, names: Sequence[str]) -> list:
    """Imports a `GraphDef` and returns the handles of some of its nodes."""
    options = _pywrap.TF_NewImportGraphDefOptions()
    buffer = _pywrap.TF_NewBufferFromString(graph_def.SerializeToString())
    try:
        _pywrap.TF_ImportGraphDefOptionsSetUniquifyNames(options, False)
        for name in names:
            _pywrap.TF_ImportGraphDefOptionsAddReturnOperation(options, name)
        with graph._c_graph.get() as c_graph:
            results = _pywrap.TF_GraphImportGraphDefWithResults(c_graph, buffer, options)
        try:
            return _pywrap.TF_ImportGraphDefResultsReturnOperations(results)
        finally:
            _pywrap.TF_DeleteImportGraphDefResults(results)
    finally:
        _pywrap.TF_DeleteBuffer(buffer)
        _pywrap.TF_DeleteImportGraphDefOptions(options)


def _run(session: object, feeds: dict, operation: object) -> None:
    _pywrap.TF_SessionRun_wrapper(session._session, None, feeds, [], [operation], None)


def _init_op(meta_graph: object) -> str:
    if _INIT_SIGNATURE in meta_graph.signature_def:
        return meta_graph.signature_def[_INIT_SIGNATURE].outputs[_INIT_SIGNATURE].name
    found = (meta_graph.collection_def[key] for key in _INIT_COLLECTIONS if key in meta_graph.collection_def)
    return next((name for collection in found for name in collection.node_list.value), "")


def _node(name: str) -> str:
    return name.partition(":")[0]


def _text(text: str | bytes) -> object:
    return tf.compat.as_bytes(text)


def _copy(message: object) -> object:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
