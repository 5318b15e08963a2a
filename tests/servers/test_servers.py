"""What was tried in older TensorFlows is what exports claim; and the parts of the trial find mistakes."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.export.verification import servable_ops
from keras_attn.export.version_files import MANIFEST_PATH

from .client import load_with_cpp, registered_ops, tensorflow_library
from .comparing import problems_of
from .exports import EXPORTS
from .features import features_since, unknown_features

TRIED = json.loads(Path(__file__).with_name("tried.json").read_text())
# Words in the names of what is for TPUs and XLA alone.
NOT_OURS = ("Xla", "TPU", "Tpu", "SparseCore", "Dedup")


def test_the_table_of_features_is_what_the_versions_register():
    for version, features in TRIED["features"].items():
        expected = {
            name for name in features if not name.startswith("_") and not any(x in name for x in NOT_OURS)
        }
        assert expected == set(servable_ops._SINCE.get(version, "").split()), version
    assert servable_ops._SINCE.keys() <= TRIED["features"].keys()


def test_every_version_from_the_oldest_gave_the_same_answers_with_onednn_and_without():
    verdicts = TRIED["verdicts"]
    versions = sorted({key.partition(",")[0] for key in verdicts})
    assert versions[0] == servable_ops.OLDEST
    assert TRIED["features"].keys() | {servable_ops.OLDEST} >= set(versions)
    assert verdicts == {
        f"{version}, {way}": "the same" for version in versions for way in ("oneDNN", "no oneDNN")
    }


def test_this_tensorflow_is_the_newest_that_was_tried():
    newest = max(TRIED["verdicts"]).partition(",")[0]
    assert tf.__version__.startswith(f"{newest}.")


def test_all_families_were_tried_plain_packed_and_with_batching():
    names = {family if packed is None else f"packed_{packed}" for _, family, packed, _ in EXPORTS}
    assert {"recurrent", "convolutional", "transformer", "language_model", "packed_bfloat16"} <= names
    assert TRIED["exports"] == sorted(name for name, *_ in EXPORTS)


def test_what_a_version_brought():
    registries = {
        "2.9": {"A": {"T": ["int32"]}},
        "2.10": {"A": {"T": ["int32", "half"], "u": []}, "B": {"v": ["x"]}},
        "2.11": {"A": {"T": ["int32", "half"], "u": []}, "B": {"v": ["x"]}},
    }
    assert features_since(registries) == {"2.10": ["A.T=half", "A.u", "B"], "2.11": []}


def test_the_registered_ops_have_attributes_and_values():
    known = registered_ops()
    assert {"int32", "half"} - set(known["MatMul"]["T"]) == {"half"}
    assert "float16" in known["MatMul"]["T"]
    assert known["ScatterNd"]["bad_indices_policy"] == []
    assert "SentencepieceTokenizeOp" in known


@pytest.fixture
def saved(tmp_path):
    """A SavedModel that takes an attribute which is not the default."""
    run = tf.function(lambda x: tf.matmul(x, x, transpose_a=True), [tf.TensorSpec([None, None], tf.float32)])
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=run.get_concrete_function())
    return tmp_path


def changed(folder, op, change):
    """Changes the node of an op, in the graph or in a function."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    graph = model.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    change(next(node for node in nodes if node.op == op))
    path.write_bytes(model.SerializeToString())


def add_attribute(node):
    node.attr["of_tomorrow"].b = True


def test_what_is_known_is_taken(saved):
    load_with_cpp(tensorflow_library(), saved)
    assert unknown_features(saved, registered_ops()) == []


def test_an_op_that_is_not_known(saved):
    changed(saved, "MatMul", lambda node: setattr(node, "op", "MatMulOfTomorrow"))
    with pytest.raises(ValueError, match="Op type not registered 'MatMulOfTomorrow'"):
        load_with_cpp(tensorflow_library(), saved)
    assert "MatMulOfTomorrow" in unknown_features(saved, registered_ops())


@pytest.mark.parametrize("op", ["Placeholder", "MatMul"])
def test_an_attribute_that_is_not_known(saved, op):
    """Servers ignore it, and what it asks for."""
    changed(saved, op, add_attribute)
    load_with_cpp(tensorflow_library(), saved)
    assert unknown_features(saved, registered_ops()) == [f"{op}.of_tomorrow"]


def test_a_value_that_is_not_known(saved):
    ops = registered_ops()
    ops["MatMul"] |= {"T": ["int32"]}
    assert unknown_features(saved, ops) == ["MatMul.T=float32"]


def test_answers_that_differ_and_those_that_are_missing_are_problems(tmp_path):
    manifest = {
        "kernels": {"num_terms": 30, "num_kernels": 3},
        "tokenizers": {"target": {"vocabulary_size": 19}},
        "decoding": {"max_length": 7},
    }
    (tmp_path / "1" / MANIFEST_PATH).parent.mkdir(parents=True)
    (tmp_path / "1" / MANIFEST_PATH).write_text(json.dumps(manifest))
    requests = [(name, {"text": np.array([b"ab"], object)}) for name in ("encode", "score")]
    (tmp_path / "requests").write_bytes(pickle.dumps(requests))
    one = [{"states": np.array([[1.0]])}, {"length": np.array([2])}]
    other = [{"states": np.array([[1.0 + 1e-6]])}, {"length": np.array([3])}]
    assert problems_of(tmp_path, one, one) == []
    assert problems_of(tmp_path, one, "It crashed.") == ["It crashed."]
    (problem,) = problems_of(tmp_path, one, other)
    assert problem.startswith("score: `length` is np.int64(3) instead of np.int64(2)")
    (problem,) = problems_of(tmp_path, one, [{"states": np.array([[1.01]])}, one[1]])
    assert problem.startswith("encode: `states` is np.float64(1.01) instead of np.float64(1.0)")
    with pytest.raises(ValueError, match="shorter"):
        problems_of(tmp_path, one, other[:1])
