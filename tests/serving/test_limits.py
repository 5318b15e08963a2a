from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.servable import SessionSettings
from keras_attn.serving.limits import Limits, too_large
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.rest.handler import RestHandler

from .models.test_warmup import predict_log, write


@pytest.fixture(scope="module")
def limited(models):
    limits = Limits(max_rows=3, max_string_bytes=5, max_run_time_ms=100)
    loader = SavedModelLoader(SessionSettings(limits=limits))
    registry = Registry([ServedModel(name, str(models[name]), loader) for name in ("half", "shout", "loop")])
    for model in registry.models:
        model.poll()
    yield RestHandler(registry)
    for model in registry.models:
        model.close(5.0)


def predict(handler, model, *instances):
    body = json.dumps({"instances": instances}).encode()
    reply = handler.handle("POST", f"/v1/models/{model}:predict", body)
    return reply.status, json.loads(reply.body).get("error")


def test_rows(limited):
    assert predict(limited, "half", 1, 2, 3) == (200, None)
    status, error = predict(limited, "half", 1, 2, 3, 4)
    assert status == 400
    assert error.endswith(
        "has too many rows. Expected at most 3. Received: 4. Send them in several requests."
    )


def test_strings(limited):
    assert predict(limited, "shout", "abcde", "") == (200, None)
    status, error = predict(limited, "shout", "a", "안녕")
    assert status == 400
    assert "string that is too long. Expected at most 5 bytes. Received: 6. Send it in parts." in error


def test_time(limited):
    status, error = predict(limited, "loop", 2_000_000_000)
    assert (status, "Timed out waiting for notification" in error) == (504, True)
    assert predict(limited, "loop", 3) == (200, None)


def test_warm_up_has_no_limits(models, tmp_path):
    """A version whose own examples are more than a client may ask for comes up, and has limits then."""
    directory = shutil.copytree(models["half"] / "7", tmp_path / "7")
    write(directory, predict_log(np.float32([1, 2, 3, 4, 5])))
    limits = Limits(max_rows=3, max_run_time_ms=60_000)
    servable = SavedModelLoader(SessionSettings(limits=limits))("half", 7, str(directory))
    signature = servable.signatures["serving_default"]
    with pytest.raises(ServingError, match="has too many rows"):
        servable.run(signature, {"x": np.float32([1, 2, 3, 4, 5])}, list(signature.outputs))
    servable.close()


def test_the_shorter_time_counts():
    assert Limits().run_time_ms(0) == 0
    assert Limits().run_time_ms(7) == 7
    assert Limits(max_run_time_ms=5).run_time_ms(0) == 5
    assert Limits(max_run_time_ms=5).run_time_ms(7) == 5
    assert Limits(max_run_time_ms=5).run_time_ms(3) == 3


def test_no_limits():
    Limits().check_inputs({"x": np.zeros(10_007), "s": np.array([b"a" * 10_007], object)})
    Limits(max_rows=1).check_inputs({"x": np.array(1.0)})


def test_refusals():
    error = too_large(7, 5)
    assert isinstance(error, ServingError)
    assert error.code is Code.RESOURCE_EXHAUSTED
