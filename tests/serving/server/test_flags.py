from __future__ import annotations

import os

import pytest

from keras_attn.serving.errors import ServingError
from keras_attn.serving.server.flags import FlagError, check_options, parse_flags, usage
from keras_attn.serving.server.options import Options, ignored_options

CPUS = os.cpu_count()
# TensorFlow Serving's flags and their defaults.
STOCK = {
    "port": 8500,
    "grpc_socket_path": "",
    "rest_api_port": 0,
    "rest_api_num_threads": 4 * CPUS,
    "rest_api_timeout_in_ms": 30000,
    "rest_api_enable_cors_support": False,
    "enable_batching": False,
    "allow_version_labels_for_unavailable_models": False,
    "batching_parameters_file": "",
    "enable_per_model_batching_parameters": False,
    "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0,
    "model_name": "default",
    "model_base_path": "",
    "num_load_threads": 0,
    "num_unload_threads": 0,
    "max_num_load_retries": 5,
    "load_retry_interval_micros": 60_000_000,
    "file_system_poll_wait_seconds": 1,
    "flush_filesystem_caches": True,
    "tensorflow_session_parallelism": 0,
    "tensorflow_session_config_file": "",
    "tensorflow_intra_op_parallelism": 0,
    "tensorflow_inter_op_parallelism": 0,
    "use_alts_credentials": False,
    "ssl_config_file": "",
    "platform_config_file": "",
    "per_process_gpu_memory_fraction": 0.0,
    "saved_model_tags": "serve",
    "grpc_channel_arguments": "",
    "grpc_max_threads": 4 * CPUS,
    "enable_model_warmup": True,
    "num_request_iterations_for_warmup": 0,
    "version": False,
    "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True,
    "prefer_tflite_model": False,
    "num_tflite_pools": CPUS,
    "num_tflite_interpreters_per_pool": 1,
    "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False,
    "xla_gpu_compilation_enabled": False,
    "enable_profiler": True,
    "thread_pool_factory_config_file": "",
    "mixed_precision": "",
    "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False,
    "enable_serialization_as_tensor_content": False,
}


@pytest.mark.parametrize("name", STOCK)
def test_names_and_defaults_are_those_of_tensorflow_serving(name):
    options, unknown = parse_flags([])
    assert unknown == []
    assert getattr(options, name) == STOCK[name]
    assert type(getattr(options, name)) is type(STOCK[name])


def test_values():
    numbers = "--port=9 -rest_api_port=7 --per_process_gpu_memory_fraction=0.5"
    booleans = "--enable_batching --enable_model_warmup=false --enable_profiler=TRUE"
    words = "--model_name m --model_base_path=/a=b"
    options, unknown = parse_flags(f"{numbers} {booleans} {words}".split())
    assert unknown == []
    assert options == Options(
        port=9,
        model_name="m",
        rest_api_port=7,
        model_base_path="/a=b",
        enable_batching=True,
        enable_model_warmup=False,
        per_process_gpu_memory_fraction=0.5,
    )


def test_a_boolean_takes_no_argument_of_its_own():
    options, unknown = parse_flags(["--enable_batching", "false", "--port=3"])
    assert (options.enable_batching, unknown, options.port) == (True, ["false"], 3)


def test_unknown_flags_are_reported():
    options, unknown = parse_flags(["--enable_dreams", "--foo=1", "--bar", "x", "--port=3", "stray"])
    assert unknown == ["--enable_dreams", "--foo=1", "--bar x", "stray"]
    assert options.port == 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--port=x"], "flag --port expects a whole number. Received: 'x'"),
        (["--port"], "flag --port has no value. Expected --port=<int>"),
        (["--enable_batching=maybe"], "flag --enable_batching expects true or false. Received: 'maybe'"),
        (["--per_process_gpu_memory_fraction=a"], "_fraction expects a number. Received: 'a'"),
    ],
)
def test_bad_values(argv, message):
    with pytest.raises(FlagError) as caught:
        parse_flags(argv)
    assert message in str(caught.value)


PATH = {"model_base_path": "/a"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "INVALID_ARGUMENT: Both server_options.model_base_path and server_options.model_config_file"),
        (
            {**PATH, "batching_parameters_file": "/b"},
            "INVALID_ARGUMENT: server_options.batching_parameters_file is set without setting"
            " server_options.enable_batching to true.",
        ),
        ({**PATH, "use_alts_credentials": True}, "UNIMPLEMENTED: use_alts_credentials is not supported"),
        ({**PATH, "port": 65536}, "flag --port expects a port from 0 to 65535"),
        ({**PATH, "grpc_max_threads": 0}, "flag --grpc_max_threads expects 1 or more"),
        ({**PATH, "max_request_bytes": -1}, "flag --max_request_bytes expects 0 or more. Received: -1"),
        ({**PATH, "mixed_precision": "half"}, "flag --mixed_precision expects bfloat16. Received: 'half'"),
    ],
)
def test_options_that_cannot_work(values, message):
    with pytest.raises((FlagError, ServingError)) as caught:
        check_options(Options(**values))
    assert message in str(caught.value)


def test_options_that_can_work():
    check_options(Options(model_base_path="/a", enable_batching=True, batching_parameters_file="/b"))
    check_options(Options(model_config_file="/c"))


def test_flags_without_effect_are_said_to_have_none():
    options, _ = parse_flags(["--skip_initialize_tpu", "--num_unload_threads=3", "--enable_batching"])
    assert ignored_options(options) == {
        "num_unload_threads": "a version is unloaded by the last request that used it",
        "skip_initialize_tpu": "there are no TPUs",
    }


def test_usage_lists_every_flag():
    assert all(f"--{name}=" in usage() for name in Options.__dataclass_fields__)
