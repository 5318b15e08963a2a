"""Records that came with a version are replayed before it answers, or it does not come up."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving.errors import ServingError
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.warmup import warm_up
from keras_attn.serving.monitoring.metrics import Metrics

from ..inference.test_multi_inference import (
    CLASSIFY,
    classify_request,
    examples,
    multi_request,
    regress_request,
)


class Counting:
    """A servable that remembers which signatures were run."""

    def __init__(self, servable):
        self._servable, self.runs = servable, []
        self.run = self._counted(servable.run)
        self.run_tensors = self._counted(servable.run_tensors)

    def _counted(self, run):
        def counted(*args):
            self.runs.append(args[-1])
            return run(*args)

        return counted

    def __getattr__(self, name):
        return getattr(self._servable, name)


@pytest.fixture(scope="module")
def loader():
    return SavedModelLoader(metrics=Metrics())


def write(directory, *records):
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())
    return path


def predict_log(array, name="x", signature=""):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "another name"
    log.predict_log.request.model_spec.version.value = 97
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return log


def example_logs():
    log = prediction_log_pb2.PredictionLog
    classify, regress, multi = log(), log(), log()
    classify.classify_log.request.CopyFrom(classify_request(examples(1.0), signature="classify"))
    regress.regress_log.request.CopyFrom(regress_request(examples(1.0)))
    multi.multi_inference_log.request.CopyFrom(multi_request(examples(1.0), ("classify", CLASSIFY)))
    return classify, regress, multi


def test_every_kind_of_request_is_replayed(loader, registry, tmp_path):
    write(tmp_path, *example_logs())
    with registry.find("examples").use(None) as servable:
        counting = Counting(servable)
        assert warm_up(counting, str(tmp_path), repeats=2) == 3
    assert counting.runs == [api for api in ("Classify", "Regress", "MultiInference") for _ in range(2)]


def test_a_version_without_records(registry, tmp_path):
    with registry.find("half").use(None) as servable:
        assert warm_up(servable, str(tmp_path)) == 0


FLOATS = np.array([1.0], np.float32)


def unimplemented():
    log = prediction_log_pb2.PredictionLog()
    log.session_run_log.SetInParent()
    return log


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [predict_log(FLOATS), b"\xff\xff"],
            r"INVALID_ARGUMENT: Failed to parse warmup record: b'\\xff\\xff'",
        ),
        ([b""], "UNIMPLEMENTED: Unsupported log_type for warmup: 0"),
        ([unimplemented()], "UNIMPLEMENTED: Unsupported log_type for warmup: 5"),
        ([predict_log(FLOATS, "z")], "INVALID_ARGUMENT: Signature input alias: x"),
        ([predict_log(FLOATS, signature="s")], 'FAILED_PRECONDITION: Serving signature key "s" not found'),
        ([predict_log(FLOATS)] * 1001, r"exceeds the maximum \(1000\) at "),
    ],
)
def test_a_bad_record_fails(registry, tmp_path, records, message):
    write(tmp_path, *records)
    with registry.find("half").use(None) as servable, pytest.raises(ServingError, match=message):
        warm_up(servable, str(tmp_path))


@pytest.mark.parametrize("cut", [slice(None, -1), slice(1, None)])
def test_damaged_files(registry, tmp_path, cut):
    path = write(tmp_path, predict_log(FLOATS))
    path.write_bytes(path.read_bytes()[cut])
    with registry.find("half").use(None) as servable:
        message = r"DATA_LOSS: (corrupted|truncated) record at \d+\. Please verify .* TFRecord format\.$"
        with pytest.raises(ServingError, match=message):
            warm_up(servable, str(tmp_path))


def test_a_version_whose_warm_up_fails_does_not_load(models, tmp_path):
    version = tmp_path / "1"
    version.symlink_to(models["half"] / "7")
    copy = tmp_path / "2"
    tf.io.gfile.makedirs(str(copy))
    for path in version.iterdir():
        (copy / path.name).symlink_to(path.resolve())
    write(copy, predict_log(FLOATS, "z"))
    metrics = Metrics()
    with pytest.raises(ServingError, match="Signature input alias: x"):
        SavedModelLoader(metrics=metrics)("m", 2, str(copy))
    SavedModelLoader(metrics=metrics, warmup_repeats=0)("m", 2, str(copy)).close()
    nothing = str(tmp_path / "nothing")
    with pytest.raises(ServingError, match="Could not find SavedModel"):
        SavedModelLoader(metrics=metrics)("m", 3, nothing)
    page = metrics.page()
    assert f'load_attempt_count{{model_path="{nothing}",status="fail"}} 1' in page
    assert f'load_attempt_count{{model_path="{copy}",status="success"}} 2' in page
    assert f'model_warmup_records_read{{model_path="{copy}",status="INVALID_ARGUMENT"}} 1' in page


def test_the_log_says_what_is_waited_for(models, tmp_path, loader, caplog):
    shutil.copytree(models["half"] / "1", tmp_path / "1")
    write(tmp_path / "1", *[predict_log(np.float32([number])) for number in range(3)])
    with caplog.at_level("INFO", "keras_attn.serving"):
        loader("m", 7, str(tmp_path / "1")).close()
    assert f"Model m version 7: loading {tmp_path / '1'}." in caplog.text
    assert "Model m version 7: warm-up request 1 of 3." in caplog.text
    assert "Model m version 7: 3 warm-up requests were replayed." in caplog.text
