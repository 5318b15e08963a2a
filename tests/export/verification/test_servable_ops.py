"""The op check: finds what TensorFlow Serving refuses, however deep; passes the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.export import UnservableOpError, check_ops
from keras_attn.export.verification.servable_ops import features_of, least_server_version, ops_of


def compiled(x):
    return tf.function(lambda y: y * 2.0, jit_compile=True)(x)


def sliced(x):
    return keras.ops.slice_update(tf.zeros([7]), [tf.size(x) % 3], x[:1])


def pythonic(x):
    return tf.ensure_shape(tf.numpy_function(np.sin, [x], tf.float32), [None])


def eager_pythonic(x):
    return tf.ensure_shape(tf.py_function(tf.sin, [x], tf.float32), [None])


def pinned(x):
    with tf.device("/GPU:0"):
        return x * 3.0


def plain(x):
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, tf.sin(y) + 1.0), [0, x])[1]


def saved(function, folder, nested):
    """A SavedModel of the function; nested, it is called in a branch of a loop in a function."""

    def deep(x):
        def body(i, y):
            return i + 1, tf.cond(tf.size(y) > 2, lambda: tf.reduce_sum(function(y)) + y, lambda: y)

        return tf.while_loop(
            lambda i, y: i < 2, body, [0, x], shape_invariants=[tf.TensorShape([]), x.shape]
        )[1]

    module = tf.Module()
    run = tf.function(deep if nested else function, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": run.get_concrete_function()})
    return folder


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("function", "message"),
    [
        (compiled, r"asks for XLA \(`jit_compile=True`\)"),
        (sliced, "op XlaDynamicUpdateSlice in .*XLA disabled"),
        (pythonic, "op PyFunc in .*it runs Python"),
        (eager_pythonic, "op EagerPyFunc in .*it runs Python"),
        (pinned, "is pinned to .*GPU:0"),
    ],
)
def test_what_is_refused(tmp_path, function, message, nested):
    with pytest.raises(
        UnservableOpError, match=f"TensorFlow Serving cannot run this SavedModel: .*{message}"
    ):
        check_ops(saved(function, tmp_path, nested))


@pytest.mark.parametrize("nested", [False, True])
def test_what_is_plain_passes(tmp_path, nested):
    assert check_ops(saved(plain, tmp_path, nested)) is None


def test_several_problems_are_named_at_once(tmp_path):
    with pytest.raises(UnservableOpError) as caught:
        check_ops(saved(lambda x: pythonic(x) + sliced(x)[:1], tmp_path, nested=True))
    assert "PyFunc" in str(caught.value)
    assert "XlaDynamicUpdateSlice" in str(caught.value)
    assert "in function while_" in str(caught.value)


def test_our_own_export_passes(exported):
    assert check_ops(str(exported)) is None


def written(folder, *ops):
    """A `saved_model.pb` with a function that holds these ops, whether or not there are such."""
    saved = saved_model_pb2.SavedModel()
    function = saved.meta_graphs.add().graph_def.library.function.add()
    function.signature.name = "body"
    for op in ops:
        function.node_def.add(name=op.lower(), op=op)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder


@pytest.mark.parametrize("op", ["GatherTreeOfMine", "Foo>Bar"])
def test_ops_that_nobody_links_are_named_with_their_function(tmp_path, op):
    with pytest.raises(
        UnservableOpError, match=f"op {op} in function body: TensorFlow Serving does not link it"
    ):
        check_ops(written(tmp_path, "MatMul", op))


def test_ops_of_the_core_and_of_tensorflow_text_pass(tmp_path):
    check_ops(written(tmp_path, "While", "BatchFunction", "SentencepieceTokenizeOp", "_FusedMatMul"))


def test_the_least_server_version_is_that_of_the_newest_feature():
    assert least_server_version({"MatMul", "While", "ScatterNd"}) == "2.16"
    assert least_server_version({"MatMul", "DecodeWebP"}) == "2.20"
    assert least_server_version({"ScatterNd", "ScatterNd.bad_indices_policy"}) == "2.18"
    assert least_server_version({"Range.Tidx", "Range.Tidx=int32"}) == "2.16"
    assert least_server_version({"DecodeJxl", "DecodeWebP", "CheckPinned"}) == "2.21"


def test_features_are_ops_and_the_attributes_that_are_no_defaults(tmp_path):
    def scattered(x, policy):
        arguments = {"indices": [[1]], "updates": x[:1], "shape": [3]}
        return tf.raw_ops.ScatterNd(**arguments, bad_indices_policy=policy)

    def features(policy, nested):
        folder = saved(lambda x: scattered(x, policy), tmp_path / f"{policy}{nested}", nested)
        content = (folder / "saved_model.pb").read_bytes()
        return features_of(saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def)

    for nested in (False, True):
        usual, strict = features("", nested), features("ERROR", nested)
        assert {"ScatterNd", "ScatterNd.T", "ScatterNd.T=float"} - usual == {"ScatterNd.T=float"}
        assert "ScatterNd.T=float32" in usual
        assert "ScatterNd.bad_indices_policy=ERROR" in strict
        assert (least_server_version(usual), least_server_version(strict)) == ("2.16", "2.18")


def test_ops_are_collected_from_functions_too(tmp_path):
    content = (written(tmp_path, "MatMul", "Sin") / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    graph.node.add(name="x", op="Placeholder")
    assert ops_of(graph) == {"MatMul", "Sin", "Placeholder"}
