"""Models, settings and warm-up records on TensorFlow's own file systems; ram:// stands for object stores."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.file_system import exists, is_directory, list_names, read_text, stamps
from keras_attn.serving.inference.predict import run_predict
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.models.session import GraphSession
from keras_attn.serving.models.version_dirs import fingerprint, list_versions
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.server.config_file import read_models


@pytest.fixture
def remote(tmp_path):
    """A directory that lies in memory."""
    url = f"ram://{tmp_path.name}"
    tf.io.gfile.makedirs(url)
    yield url
    tf.io.gfile.rmtree(url)


def put(url, data=b"x"):
    tf.io.gfile.makedirs(os.path.dirname(url))
    with tf.io.gfile.GFile(url, "wb") as file:
        file.write(data)


def copy(source, target):
    for path in source.rglob("*"):
        if path.is_file():
            put(f"{target}/{path.relative_to(source)}", path.read_bytes())


def test_a_url_is_read_like_a_path(remote, tmp_path):
    for root in (remote, str(tmp_path)):
        put(f"{root}/a/b", "안".encode())
        assert list_names(root) == ["a"]
        assert (is_directory(f"{root}/a"), is_directory(f"{root}/a/b"), is_directory(f"{root}/c")) == (
            True,
            False,
            False,
        )
        assert (exists(f"{root}/a/b"), exists(f"{root}/c")) == (True, False)
        assert read_text(f"{root}/a/b") == "안"
        ((path, size, _),) = stamps(f"{root}/a")
        assert (path, size) == (f"{root}/a/b", 3)
        for read in (list_names, read_text, stamps):
            with pytest.raises(FileNotFoundError):
                read(f"{root}/nothing")
        put(f"{root}/latin", b"\xff")
        with pytest.raises(UnicodeDecodeError):
            read_text(f"{root}/latin")


def test_a_file_system_that_there_is_not():
    with pytest.raises(OSError, match="File system scheme 'nosuch' not implemented") as caught:
        list_names("nosuch://a")
    assert caught.value.errno == errno.EPROTONOSUPPORT
    assert not exists("nosuch://a")
    with pytest.raises(ServingError) as refused:
        GraphSession("nosuch://a")
    assert refused.value.code is Code.NOT_FOUND


def test_versions(remote):
    for name in ("00000007/x", "v1/x", "7.tmp/x", "11"):
        put(f"{remote}/{name}")
    assert list_versions(remote) == {7: f"{remote}/00000007"}
    before = fingerprint(f"{remote}/00000007")
    assert before == fingerprint(f"{remote}/00000007")
    put(f"{remote}/00000007/variables/y")
    assert before < fingerprint(f"{remote}/00000007")


def test_a_model_with_warm_up_records_follows_its_url(models, remote):
    copy(models["half"] / "1", f"{remote}/1")
    request = predict_pb2.PredictRequest()
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1.0], np.float32)))
    log = prediction_log_pb2.PredictionLog(predict_log={"request": request})
    records = f"{remote}/1/assets.extra/tf_serving_warmup_requests"
    tf.io.gfile.makedirs(os.path.dirname(records))
    with tf.io.TFRecordWriter(records) as writer:
        writer.write(log.SerializeToString())
    metrics = Metrics()
    model = ServedModel("m", remote, SavedModelLoader(metrics=metrics))
    assert model.poll() == []
    assert f':model_warmup_records_read{{model_path="{remote}/1",status="OK"}} 1' in metrics.page()
    copy(models["half"] / "7", f"{remote}/7")
    assert model.poll() == []
    with model.use(None) as servable:
        signature = servable.signatures["serving_default"]
        x = np.array([1.0], np.float32)
        assert servable.version == 7
        assert run_predict(servable, signature, {"x": x})["y"] == [3.5]
    assert [(s.version, s.state.name) for s in model.statuses()] == [(7, "AVAILABLE"), (1, "END")]
    assert model.close(5.0)


def test_a_url_that_cannot_be_read(caplog):
    model = ServedModel("m", "ram://nowhere", SavedModelLoader())
    assert model.poll() == []
    assert "Could not read the base path ram://nowhere of model m: " in caplog.text


def test_the_config_file(remote):
    entry = f'name: "m" base_path: "{remote}/m" model_platform: "tensorflow"'
    put(f"{remote}/models.config", f"model_config_list {{ config {{ {entry} }} }}".encode())
    (model,) = read_models(f"{remote}/models.config")
    assert model.base_path == f"{remote}/m"
    with pytest.raises(ServingError, match="NOT_FOUND: ram://"):
        read_models(f"{remote}/nothing")
