from __future__ import annotations

import pytest
import tensorflow as tf

from keras_attn.serving.errors import ServingError
from keras_attn.serving.limits import Limits
from keras_attn.serving.models.model_settings import ModelSettings
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.server.assembly import (
    batching_of,
    first_models,
    grpc_settings,
    limits_of,
    model_manager,
    rest_settings,
    session_settings,
)
from keras_attn.serving.server.options import Options
from keras_attn.serving.server.server import Server


def config_of(options):
    return tf.compat.v1.ConfigProto.FromString(session_settings(options).config)


def threads(**options):
    settings = session_settings(Options(**options))
    return settings.intra_op_threads, settings.inter_op_threads


def test_threads(tmp_path):
    assert threads() == (1, 0)
    assert threads(tensorflow_session_parallelism=5) == (5, 5)
    assert threads(tensorflow_session_parallelism=5, tensorflow_intra_op_parallelism=3) == (3, 5)
    path = tmp_path / "session.pbtxt"
    path.write_text(
        "intra_op_parallelism_threads: 7 inter_op_parallelism_threads: 2 log_device_placement: true"
    )
    assert threads(tensorflow_session_config_file=str(path)) == (7, 2)
    assert config_of(Options(tensorflow_session_config_file=str(path))).log_device_placement


def test_how_models_are_run():
    config = config_of(Options(per_process_gpu_memory_fraction=0.5, mixed_precision="bfloat16"))
    assert config.gpu_options.per_process_gpu_memory_fraction == 0.5
    rewrites = config.graph_options.rewrite_options
    assert rewrites.auto_mixed_precision_onednn_bfloat16 == type(rewrites).ON
    settings = session_settings(
        Options(
            saved_model_tags="serve,tpu",
            enable_signature_method_name_check=True,
            enable_serialization_as_tensor_content=True,
            max_request_rows=3,
        )
    )
    assert settings.tags == ("serve", "tpu")
    assert (settings.checks_method_names, settings.writes_tensor_content) == (True, True)
    assert settings.limits == Limits(max_rows=3)


def test_limits():
    options = Options(max_request_bytes=2, max_request_rows=3, max_string_bytes=5, max_run_time_ms=7)
    assert limits_of(options) == Limits(2, 3, 5, 7)
    options = Options(max_request_bytes=2, max_waiting_requests=3, rest_api_num_threads=5, grpc_max_threads=7)
    rest, grpc = rest_settings(options, 11.0), grpc_settings(options)
    assert (rest.num_threads, rest.grace_s, rest.max_bytes, rest.max_waiting) == (5, 11.0, 2, 3)
    assert (grpc.max_threads, grpc.max_message_bytes, grpc.max_waiting) == (7, 2, 3)
    assert rest_settings(Options(), 1.0).max_waiting is None


def test_batching(tmp_path):
    assert batching_of(Options(), Metrics()) is None
    path = tmp_path / "batching.pbtxt"
    path.write_text("max_batch_size { value: 3 } num_batch_threads { value: 1 }")
    batching = batching_of(Options(enable_batching=True, batching_parameters_file=str(path)), Metrics())
    assert batching._parameters.max_batch_size == 3
    batching.stop()
    path.write_text("max_batch_size { value: 0 }")
    with pytest.raises(ServingError, match="max_batch_size must be positive"):
        Server(Options(port=0, enable_batching=True, batching_parameters_file=str(path)))


def test_loads_at_once():
    manager = model_manager(Options(num_load_threads=3), Metrics())
    assert manager._load.max_loads == 3


def test_one_model_by_flags():
    options = Options(model_name="m", model_base_path="/models/m")
    assert first_models(options) == [ModelSettings("m", "/models/m")]


def test_a_relative_base_path():
    message = r"INVALID_ARGUMENT: Expected model m to have an absolute path or URI; got base_path\(\)=models"
    with (
        pytest.raises(ServingError, match=message),
        Server(Options(port=0, model_name="m", model_base_path="models"), rest=False),
    ):
        pass
