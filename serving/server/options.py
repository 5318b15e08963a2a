"""Settings of a server, under the names of TensorFlow Serving's flags."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

NO_EFFECT = "no effect here"


_PORTS = (0, 65535)


def _threads(text: str) -> Any:
    return field(
        default_factory=lambda: 4 * (os.cpu_count() or 1), metadata={"help": text, "range": (1, inf)}
    )


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _number(default: float, text: str, bounds: tuple[float, float] = (0, inf)) -> Any:
    return field(default=default, metadata={"help": text, "range": bounds})


def _ignored(default: Any, why: str) -> Any:
    return field(default=default, metadata={"help": f"{NO_EFFECT}: {why}", "ignored": why})


@dataclass(frozen=True)
class Options:
    """Settings of a server; each is a flag of the same name."""

    port: int = _number(8500, "TCP port for gRPC; 0: any free one", _PORTS)
    grpc_socket_path: str = _setting("", "path of a unix socket on which gRPC is served as well")
    rest_api_port: int = _number(0, "TCP port for REST; 0 switches REST off", _PORTS)
    rest_api_num_threads: int = _threads("REST requests that may run at once")
    rest_api_timeout_in_ms: int = _number(30000, "limit of a model run over REST in milliseconds; 0: none")
    rest_api_enable_cors_support: bool = _setting(False, "answer requests of pages from other hosts")
    enable_batching: bool = _setting(False, "run requests that wait at the same time together")
    allow_version_labels_for_unavailable_models: bool = _setting(
        False, "let new labels point at versions that are not loaded yet"
    )
    batching_parameters_file: str = _setting("", "text proto BatchingParameters")
    enable_per_model_batching_parameters: bool = _setting(
        False, "read batching_params.pbtxt of each version; a version without it is not batched"
    )
    model_config_file: str = _setting("", "text proto ModelServerConfig, instead of name and base path")
    model_config_file_poll_wait_seconds: int = _number(
        0, "seconds between two looks at the model config file; 0: only at the start"
    )
    model_name: str = _setting("default", "name of the model in requests")
    model_base_path: str = _setting(
        "", "absolute path or URL of a directory with a SavedModel in each of 1, 2, ..."
    )
    num_load_threads: int = _number(0, "versions that may be loaded at once; 0: one of each model")
    num_unload_threads: int = _ignored(0, "a version is unloaded by the last request that used it")
    max_num_load_retries: int = _number(5, "how often a version that does not load is tried again")
    load_retry_interval_micros: int = _number(60000000, "microseconds between two such attempts")
    file_system_poll_wait_seconds: int = _setting(
        1, "seconds between two looks for new versions; 0: look once; negative: never"
    )
    flush_filesystem_caches: bool = _ignored(True, "the system decides what it caches")
    tensorflow_session_parallelism: int = _setting(0, "both of the following at once")
    tensorflow_session_config_file: str = _setting("", "text proto ConfigProto for the sessions")
    tensorflow_intra_op_parallelism: int = _setting(0, "threads one op may use; 0: one")
    tensorflow_inter_op_parallelism: int = _setting(
        0, "ops that may run at once over all requests; 0: one for each core"
    )
    use_alts_credentials: bool = _setting(False, "not supported: refused")
    ssl_config_file: str = _setting("", "text proto SSLConfig: gRPC is served over TLS alone")
    platform_config_file: str = _ignored("", "the only platform is tensorflow")
    per_process_gpu_memory_fraction: float = _setting(0.0, "share of a GPU's memory to take at once")
    saved_model_tags: str = _setting("serve", "tags of the graph to load, separated by commas")
    grpc_channel_arguments: str = _setting("", "settings of the gRPC library: a=1,b=text")
    grpc_max_threads: int = _threads("gRPC calls that may run at once")
    enable_model_warmup: bool = _setting(True, "replay a version's warm-up records before it answers")
    num_request_iterations_for_warmup: int = _setting(0, "how often each record is replayed; 0: once")
    version: bool = _setting(False, "print the versions and end")
    monitoring_config_file: str = _setting("", "text proto MonitoringConfig: metrics for Prometheus")
    remove_unused_fields_from_bundle_metagraph: bool = _ignored(True, "only signatures are kept anyway")
    prefer_tflite_model: bool = _ignored(False, "TensorFlow Lite models are not served")
    num_tflite_pools: int = _ignored(os.cpu_count() or 1, "TensorFlow Lite models are not served")
    num_tflite_interpreters_per_pool: int = _ignored(1, "TensorFlow Lite models are not served")
    enable_signature_method_name_check: bool = _setting(
        False, "refuse a signature whose method_name is not that of the request"
    )
    xla_cpu_compilation_enabled: bool = _setting(False, "let compiled functions run")
    xla_gpu_compilation_enabled: bool = _ignored(False, "models run on the CPU")
    enable_profiler: bool = _setting(True, "serve tensorflow.ProfilerService")
    thread_pool_factory_config_file: str = _ignored("", "each model has thread pools of its own")
    mixed_precision: str = _setting("", "bfloat16: compute in it where the processor can")
    skip_initialize_tpu: bool = _ignored(False, "there are no TPUs")
    enable_grpc_healthcheck_service: bool = _setting(False, "serve grpc.health.v1.Health")
    enable_serialization_as_tensor_content: bool = _setting(
        False, "answer gRPC requests with tensor_content, which is faster for large tensors"
    )
    # What the stock server has not.
    grace_period_seconds: float = _number(5.0, "what requests in flight get when the server is stopped")
    max_request_bytes: int = _number(0, "longest body of a request in bytes; 0: any")
    max_request_rows: int = _number(0, "largest first dimension of an input; 0: any")
    max_string_bytes: int = _number(0, "longest string in an input in bytes; 0: any")
    max_waiting_requests: int = _number(
        0, "requests that may wait for a thread; further ones are refused at once; 0: any number"
    )
    max_run_time_ms: int = _number(
        0, "limit of a model run in milliseconds, also where the caller sets a longer one or none; 0: none"
    )
    access_log_file: str = _setting("", "file for one line of JSON on each request; - for standard output")


def ignored_options(options: Options) -> dict[str, str]:
    """Returns the settings that differ from the default and have no effect: name -> why."""
    defaults = Options()
    return {
        setting.name: setting.metadata["ignored"]
        for setting in fields(Options)
        if "ignored" in setting.metadata and getattr(options, setting.name) != getattr(defaults, setting.name)
    }
