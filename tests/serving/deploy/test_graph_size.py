"""What of a graph's file are nodes, and what are weights."""

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.serving.deploy.graph_size import graph_size


def constant(node, num_bytes):
    node.op = "Const"
    node.attr["value"].tensor.tensor_content = b"x" * num_bytes


@pytest.mark.parametrize("batching", [None, {"max_batch_size": 3}])
def test_weights_inside_the_graph_are_counted_apart(tmp_path, batching):
    saved = saved_model_pb2.SavedModel()
    graph = saved.meta_graphs.add().graph_def
    constant(graph.node.add(), 1000)
    function = graph.library.function.add()
    constant(function.node_def.add(), 700)
    function.node_def.add(op="MatMul", name="product" * 100)
    data = saved.SerializeToString()
    (tmp_path / "saved_model.pb").write_bytes(data)
    size = graph_size(tmp_path, {"in_graph_batching": batching})
    assert size == ((2 if batching else 1) * (len(data) - 1700), 1700)


def test_a_file_that_was_cut_short(tmp_path):
    saved = saved_model_pb2.SavedModel()
    constant(saved.meta_graphs.add().graph_def.node.add(), 1000)
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString()[:-1])
    with pytest.raises(ValueError, match=r"saved_model.pb is damaged: .*Export it again"):
        graph_size(tmp_path, {"in_graph_batching": None})
