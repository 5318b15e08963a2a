"""Batching sessions around loaded models, and around those of a server."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from keras_attn.serving import Options, Server, ServerError, connect
from keras_attn.serving.batching.parameters import BatchingParameters
from keras_attn.serving.batching.wrapping import Batching
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.predict import run_predict
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.monitoring.metrics import Metrics

LONG_US = 60_000_000  # a batch that is not full waits longer than any test


def floats(*values):
    return {"x": np.array(values, np.float32)}


class UnusedSession:
    def run(self, feeds, fetches, timeout_ms=0):
        raise AssertionError("refused requests are not run")

    def close(self):
        pass


@pytest.fixture
def parts():
    made = []

    def make(parameters, per_model=False):
        made.append(Batching(parameters, per_model, Metrics()))
        return made[-1]

    yield make
    for batching in made:
        batching.stop()


def test_a_loaded_model_in_batches(models, parts):
    batching = parts(BatchingParameters(max_batch_size=4, batch_timeout_micros=LONG_US))
    loader = SavedModelLoader(wrap=batching.wrap)
    servable = loader("half", 7, str(models["half"] / "7"))
    signature, answers = servable.signatures["serving_default"], {}

    def ask(value):
        answers[value] = run_predict(servable, signature, floats(value))["y"].tolist()

    threads = [threading.Thread(target=ask, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    servable.close()
    assert answers == {value: [value / 2 + 3] for value in range(4)}


def test_an_assertion_in_the_graph_refuses_one_request_of_a_batch(models, parts):
    batching = parts(BatchingParameters(max_batch_size=3, batch_timeout_micros=LONG_US))
    servable = SavedModelLoader(wrap=batching.wrap)("below10", 1, str(models["below10"] / "1"))
    signature, answers = servable.signatures["serving_default"], {}

    def ask(value):
        try:
            outputs = run_predict(servable, signature, {"x": np.array([value], np.int32)})
            answers[value] = outputs["y"].tolist()
        except ServingError as error:
            answers[value] = error

    threads = [threading.Thread(target=ask, args=(value,)) for value in (1, 10, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20.0)
    servable.close()
    assert (answers[1], answers[2]) == ([2], [3])
    assert answers[10].code is Code.INVALID_ARGUMENT
    assert "x is too big" in answers[10].message


def test_a_server_that_batches(models, tmp_path):
    path = tmp_path / "batching.pbtxt"
    path.write_text("max_batch_size { value: 3 } allowed_batch_sizes: 3")
    options = Options(
        port=0,
        model_name="half",
        model_base_path=str(models["half"]),
        enable_batching=True,
        batching_parameters_file=str(path),
    )
    with Server(options) as server:
        for url in (f"http://localhost:{server.rest_port}", f"grpc://localhost:{server.grpc_port}"):
            with connect(url, "half", retries=0) as client:
                assert list(client.predict({"x": [1.0, 2.0]})) == [3.5, 4.0]
                with pytest.raises(
                    ServerError, match="Task size 4 is larger than maximum input batch size 3"
                ):
                    client.predict({"x": [1.0] * 4})
        assert server.metrics.total("/tensorflow/serving/batching_session/wrapped_run_count") == 2


def test_settings_of_each_model(tmp_path, parts):
    batching, session = parts(BatchingParameters(), per_model=True), UnusedSession()
    assert batching.wrap(session, str(tmp_path)) is session
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: 1 }")
    wrapped = batching.wrap(session, str(tmp_path))
    with pytest.raises(ServingError, match="maximum input batch size 1"):
        wrapped.run(floats(1, 2), ["y"])
    (tmp_path / "batching_params.pbtxt").write_text("max_batch_size { value: -1 }")
    with pytest.raises(ServingError, match="max_batch_size must be positive"):
        batching.wrap(session, str(tmp_path))
