"""Warm-up requests: as TensorFlow Serving's own classes read them, one of every kind."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.export.service.signatures import INPUTS
from keras_attn.export.warmup import write_warmup_requests


@pytest.fixture(scope="module")
def requests(family):
    path = family.path / "assets.extra" / "tf_serving_warmup_requests"
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]


def test_there_are_records_for_every_signature_of_one_row_and_of_several(requests):
    counts = Counter(request.model_spec.signature_name for request in requests)
    assert counts.keys() == INPUTS.keys()
    assert set(counts.values()) == {2}
    texts = [tf.make_ndarray(r.inputs["text"]) for r in requests if r.model_spec.signature_name == "encode"]
    assert {len(batch) for batch in texts} == {1, 3}
    assert all(batch[0] for batch in texts)


def test_every_record_gives_every_input_a_value_a_row(requests):
    for request in requests:
        inputs = INPUTS[request.model_spec.signature_name]
        assert request.inputs.keys() == inputs.keys()
        arrays = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        assert len({len(array) for array in arrays.values()}) == 1
        for name, spec in inputs.items():
            assert request.inputs[name].dtype == spec.dtype.as_datatype_enum
            assert arrays[name].ndim == spec.shape.rank


def test_a_long_record_is_written_as_the_classes_write_it(tmp_path):
    """Lengths of more than one byte."""
    texts = np.array([b"x" * 200, b"y" * 20_000], object)
    write_warmup_requests(tmp_path, [("serving_default", {"text": tf.constant(texts)})])
    path = tmp_path / "assets.extra" / "tf_serving_warmup_requests"
    (record,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    expected = prediction_log_pb2.PredictionLog()
    request = expected.predict_log.request
    request.model_spec.signature_name = "serving_default"
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(texts))
    assert prediction_log_pb2.PredictionLog.FromString(record) == expected
