from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.session import GraphSession, disable_xla
from keras_attn.serving.monitoring.metrics import Metrics


@pytest.fixture
def half(models):
    session = GraphSession(models["half"] / "1")
    yield session
    session.close()


def feed_and_fetch(session):
    signature = session.signature_defs["serving_default"]
    return signature.inputs["x"].name, signature.outputs["y"].name


def test_it_computes_what_tensorflow_computes(half, models):
    x, y = feed_and_fetch(half)
    values = np.array([1.5, -2.0, 7.0], np.float32)
    (got,) = half.run({x: values}, [y])
    expected = tf.saved_model.load(str(models["half"] / "1")).signatures["serving_default"](x=values)["y"]
    np.testing.assert_array_equal(got, expected)


def test_errors_have_tensorflows_words(half):
    x, y = feed_and_fetch(half)
    with pytest.raises(ServingError) as caught:
        half.run({x: np.array([1], np.int32)}, [y])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == "Expects arg[0] to be float but int32 is provided"


def test_a_tensor_that_is_not_there(half):
    with pytest.raises(ServingError, match=r"Tensor :0, specified in either feed_devices or fetch_devices"):
        half.run({}, [""])


def test_shapes_are_left_to_the_kernels(half):
    x, y = feed_and_fetch(half)
    (got,) = half.run({x: np.zeros((2, 3), np.float32)}, [y])
    assert got.shape == (2, 3)


def test_a_run_can_be_limited_in_time(tmp_path):
    class Endless(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x")])
        def call(self, x):
            return {"y": tf.while_loop(lambda x: x >= 0.0, lambda x: (x + 1.0,), (x,))[0]}

    module = Endless()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.call})
    session = GraphSession(tmp_path / "1")
    x, y = feed_and_fetch(session)
    with pytest.raises(ServingError, match="Timed out waiting for notification") as caught:
        session.run({x: np.array(1.0, np.float32)}, [y], timeout_ms=50)
    assert caught.value.code is Code.DEADLINE_EXCEEDED
    session.close()


def test_a_directory_without_a_saved_model(tmp_path):
    with pytest.raises(ServingError, match=r"NOT_FOUND: Could not find SavedModel \.pb or \.pbtxt at"):
        GraphSession(tmp_path)


def test_a_broken_saved_model_is_one_line(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x00broken")
    with pytest.raises(ServingError) as caught:
        SavedModelLoader()("m", 1, str(tmp_path))
    assert "\n" not in caught.value.message


def test_a_half_copied_saved_model_is_refused(models, tmp_path):
    shutil.copy(models["half"] / "1" / "saved_model.pb", tmp_path)
    with pytest.raises(ServingError, match=r"has no variables/variables\.index"):
        GraphSession(tmp_path)


def test_runs_are_counted_as_tensorflow_counts_them(models):
    metrics = Metrics()
    session = GraphSession(models["half"] / "1", metrics=metrics)
    x, y = feed_and_fetch(session)
    session.run({x: np.zeros(2, np.float32)}, [y])
    with pytest.raises(ServingError):
        session.run({x: np.zeros(2, np.int32)}, [y])
    session.close()
    lines = metrics.page().splitlines()
    assert ":tensorflow:core:direct_session_runs{} 2" in lines
    assert ":tensorflow:core:graph_runs{} 1" in lines
    assert "# TYPE :tensorflow:core:graph_run_time_usecs counter" in lines
    assert ":tensorflow:core:graph_run_time_usecs_histogram_count{} 1" in lines


def test_a_platform_without_the_switch_for_xla_says_so(monkeypatch):
    monkeypatch.setattr("keras_attn.serving.models.session._DISABLE_XLA", "of_no_library")
    assert disable_xla() is False
