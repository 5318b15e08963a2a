"""The size of an export's graph, from which a server's memory follows."""

from typing import NamedTuple

from google.protobuf.message import DecodeError

from keras_attn.serving.protos.generated_messages import generated


class GraphSize(NamedTuple):
    """Bytes of `saved_model.pb`.

    Attributes:
        graph: of the nodes, counted twice where batches form in the graph.
        constants: of the weights that are part of it, as in a packed export.
    """

    graph: int
    constants: int


def graph_size(folder, manifest):
    """The size of the graph of a version.

    Args:
        folder: of the version.
        manifest: of the export.

    Returns:
        `GraphSize`.

    Raises:
        ValueError: if the file is damaged.
    """
    saved_model_pb2 = generated("tensorflow.core.protobuf.saved_model_pb2")
    path = folder / "saved_model.pb"
    data = path.read_bytes()
    try:
        graphs = [meta.graph_def for meta in saved_model_pb2.SavedModel.FromString(data).meta_graphs]
    except DecodeError as error:
        raise ValueError(f"{path} is damaged: {error}. Expected a SavedModel. Export it again.") from None
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for graph in graphs for function in graph.library.function for node in function.node_def]
    constants = sum(len(node.attr["value"].tensor.tensor_content) for node in nodes if node.op == "Const")
    # A server builds what is batched and what takes a request alone from the same functions.
    return GraphSize((len(data) - constants) * (2 if manifest["in_graph_batching"] else 1), constants)
