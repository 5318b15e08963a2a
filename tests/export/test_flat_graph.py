"""Exported graphs without functions: what a server need not optimise, and what no signature repeats."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.export.flat_graph import OPTIMIZED, flatten
from keras_attn.export.service.signatures import INPUTS, signature_functions
from keras_attn.serving.models import imported_graph

CALLS = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf", "Case"}


@pytest.fixture(scope="module")
def meta_graph(family):
    return read(family.path)


def read(folder):
    return saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes()).meta_graphs[0]


def nodes_of(meta_graph, name):
    """The nodes that a signature runs."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    waiting = [node_name(info.name) for info in meta_graph.signature_def[name].outputs.values()]
    reached = set()
    while waiting:
        current = waiting.pop()
        if current not in reached:
            reached.add(current)
            waiting += [node_name(source) for source in nodes[current].input]
    return [nodes[current] for current in reached]


def node_name(tensor):
    return tensor.lstrip("^").partition(":")[0]


def test_no_signature_calls_a_function(meta_graph):
    assert not CALLS & {node.op for name in INPUTS for node in nodes_of(meta_graph, name)}
    assert len(meta_graph.graph_def.library.function) <= 1  # the checkpoint's


def test_a_signature_holds_its_own_nodes_only(meta_graph):
    """What waits for events shares nothing with decoding."""
    assert len(nodes_of(meta_graph, "stream_events")) < 100
    decoding = max(len(nodes_of(meta_graph, name)) for name in INPUTS)
    assert decoding < len(meta_graph.graph_def.node) / 3


def test_equal_constants_of_all_signatures_are_one_node(meta_graph):
    constants = [node for node in meta_graph.graph_def.node if node.op == "Const" and not node.input]
    values = Counter(node.attr["value"].tensor.SerializeToString() for node in constants)
    assert len(constants) > 20
    # Defaults of inputs stay apart, as a signature may be fed and another one not.
    defaults = {node_name(n.input[0]) for n in meta_graph.graph_def.node if n.op == "PlaceholderWithDefault"}
    repeated = sum(values.values()) - len(values)
    assert repeated <= len(defaults)


def test_the_server_knows_an_optimised_graph(family, meta_graph):
    assert imported_graph.OPTIMIZED == OPTIMIZED
    assert OPTIMIZED in meta_graph.collection_def
    assert imported_graph.ImportedGraph(str(family.path), ["serve"]).is_optimized


def test_a_model_is_traced_once_for_each_number_of_beams(family, monkeypatch):
    model = type(family.text_to_text.model)
    step, widths = model.step, []

    def counted(self, tokens, *rest):
        widths.append(tokens.shape[1])
        return step(self, tokens, *rest)

    monkeypatch.setattr(model, "step", counted)
    for function in signature_functions(family.service).values():
        function.get_concrete_function()
    assert set(widths) == {1, family.service.beam_size}  # samples have one
    # A loop's body is traced again where the shapes of its first step are more special than the later ones.
    assert max(Counter(widths).values()) <= 4


def test_an_input_that_is_fed_is_not_taken_for_its_default(tmp_path):
    """Grappler takes the shape of a default for that of its input, unless it knows what is fed."""

    default = tf.constant([1.0])

    class Doubled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def call(self, x=default):
            return {"y": 2 * x, "size": tf.shape(x)}

    module = Doubled()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.call})
    flatten(tmp_path)
    signature = read(tmp_path).signature_def["serving_default"]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.saved_model.load(session, ["serve"], str(tmp_path))
        fetches = {name: info.name for name, info in signature.outputs.items()}
        answer = session.run(fetches, {signature.inputs["x"].name: np.array([3.0, 5.0, 7.0], np.float32)})
    assert answer["size"].tolist() == [3]
    assert answer["y"].tolist() == [6.0, 10.0, 14.0]
