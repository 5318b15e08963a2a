"""Which ops of a SavedModel the stock TensorFlow Serving binary refuses."""

from pathlib import Path

from tensorflow.core.protobuf import saved_model_pb2

# XLA ops die at the first request with "XLA compilation disabled" (the binary turns XLA off); Python's ops
# have no kernel outside Python; cuDNN's have none without a GPU.
_REFUSED = {
    "Xla": "TensorFlow Serving runs with XLA disabled",
    "PyFunc": "it runs Python, which TensorFlow Serving does not have",
    "EagerPyFunc": "it runs Python, which TensorFlow Serving does not have",
    "Cudnn": "it needs a GPU",
    "Addons>": "TensorFlow Serving does not link TensorFlow Addons",
}


class UnservableOpError(ValueError):
    """A SavedModel holds something that TensorFlow Serving cannot run."""


def check_ops(path):
    """Looks at every node of a SavedModel, those inside functions included.

    Args:
        path: the folder that holds `saved_model.pb`.

    Raises:
        UnservableOpError: names each op that TensorFlow Serving refuses, the function it is in, and why.
    """
    saved_model = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
    problems = sorted(
        {problem for meta_graph in saved_model.meta_graphs for problem in _problems(meta_graph.graph_def)}
    )
    if problems:
        raise UnservableOpError("TensorFlow Serving cannot run this SavedModel: " + "; ".join(problems) + ".")


def _problems(graph_def):
    bodies = [("the main graph", graph_def.node)]
    for function in graph_def.library.function:
        bodies.append((f"function {function.signature.name}", function.node_def))
        if function.attr["_XlaMustCompile"].b:
            yield f"function {function.signature.name} asks for XLA (`jit_compile=True`)"
    for place, nodes in bodies:
        for node in nodes:
            for prefix, reason in _REFUSED.items():
                if node.op.startswith(prefix):
                    yield f"op {node.op} in {place}: {reason}"
            if "GPU" in node.device:
                yield f"node {node.name} in {place} is pinned to {node.device}"
