"""From options to the parts of a server."""

from __future__ import annotations

import tensorflow as tf

from keras_attn.serving.batching.parameters import BatchingParameters, read_batching_parameters
from keras_attn.serving.batching.wrapping import Batching
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.grpc.server import GrpcSettings
from keras_attn.serving.inference.servable import INTER_OP_THREADS, INTRA_OP_THREADS, SessionSettings
from keras_attn.serving.limits import Limits
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.manager import ModelManager
from keras_attn.serving.models.model_settings import ModelSettings
from keras_attn.serving.models.version_table import Retries
from keras_attn.serving.monitoring.access_log import AccessLog
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.protos.text_format import read_text_proto
from keras_attn.serving.rest.server import RestSettings
from keras_attn.serving.server.config_file import read_models
from keras_attn.serving.server.options import Options
from keras_attn.serving.server.tls import server_credentials


def session_settings(options: Options) -> SessionSettings:
    """Returns how models are run.

    Raises:
        ServingError: the session config file cannot be read.
    """
    config = tf.compat.v1.ConfigProto()
    if options.tensorflow_session_config_file:
        config = read_text_proto(options.tensorflow_session_config_file, tf.compat.v1.ConfigProto)
    if options.per_process_gpu_memory_fraction:
        config.gpu_options.per_process_gpu_memory_fraction = options.per_process_gpu_memory_fraction
    if options.mixed_precision == "bfloat16":
        rewrites = config.graph_options.rewrite_options
        rewrites.auto_mixed_precision_onednn_bfloat16 = type(rewrites).ON
    both = options.tensorflow_session_parallelism
    from_file = (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads)
    return SessionSettings(
        intra_op_threads=options.tensorflow_intra_op_parallelism or both or from_file[0] or INTRA_OP_THREADS,
        inter_op_threads=options.tensorflow_inter_op_parallelism or both or from_file[1] or INTER_OP_THREADS,
        tags=tuple(options.saved_model_tags.split(",")),
        config=config.SerializeToString(),
        checks_method_names=options.enable_signature_method_name_check,
        writes_tensor_content=options.enable_serialization_as_tensor_content,
        limits=limits_of(options),
    )


def limits_of(options: Options) -> Limits:
    """Returns what one request may cost."""
    return Limits(
        options.max_request_bytes,
        options.max_request_rows,
        options.max_string_bytes,
        options.max_run_time_ms,
    )


def grpc_settings(options: Options) -> GrpcSettings:
    """Returns where and how gRPC is served.

    Raises:
        ServingError: the TLS settings file cannot be used.
    """
    return GrpcSettings(
        port=options.port,
        max_threads=options.grpc_max_threads,
        socket_path=options.grpc_socket_path,
        credentials=server_credentials(options.ssl_config_file) if options.ssl_config_file else None,
        channel_arguments=options.grpc_channel_arguments,
        health=options.enable_grpc_healthcheck_service,
        profiler=options.enable_profiler,
        max_message_bytes=options.max_request_bytes,
        max_waiting=options.max_waiting_requests or None,
    )


def rest_settings(options: Options, grace_s: float) -> RestSettings:
    """Returns how REST is served."""
    return RestSettings(
        num_threads=options.rest_api_num_threads,
        grace_s=grace_s,
        max_bytes=options.max_request_bytes,
        max_waiting=options.max_waiting_requests or None,
    )


def access_log_of(options: Options) -> AccessLog:
    """Returns where requests are written.

    Raises:
        ServingError: the file cannot be opened.
    """
    try:
        return AccessLog(options.access_log_file)
    except OSError as error:
        what = f"cannot write the access log {options.access_log_file}: {error.strerror}"
        raise ServingError(
            Code.PERMISSION_DENIED, f"{what}. Set --access_log_file to another path."
        ) from error


def model_manager(options: Options, metrics: Metrics, batching: Batching | None = None) -> ModelManager:
    """Returns the keeper of the models; nothing is loaded yet.

    Args:
        options: settings of the server.
        metrics: where loads and runs are counted.
        batching: what collects requests into batches; None runs each by itself.

    Raises:
        ServingError: a settings file cannot be used.
    """
    repeats = max(1, options.num_request_iterations_for_warmup) if options.enable_model_warmup else 0
    loader = SavedModelLoader(
        session_settings(options), metrics, warmup_repeats=repeats, max_loads=options.num_load_threads
    )
    if batching is not None:
        loader.wrap = batching.wrap
    return ModelManager(
        loader,
        options.file_system_poll_wait_seconds,
        Retries(options.max_num_load_retries, options.load_retry_interval_micros / 1e6),
        options.allow_version_labels_for_unavailable_models,
    )


def batching_of(options: Options, metrics: Metrics) -> Batching | None:
    """Returns what batches the runs of loaded models; None where that is off.

    Raises:
        ServingError: the settings file cannot be used.
    """
    if not options.enable_batching:
        return None
    parameters = BatchingParameters()
    if options.batching_parameters_file:
        parameters = read_batching_parameters(options.batching_parameters_file)
    return Batching(parameters, options.enable_per_model_batching_parameters, metrics)


def first_models(options: Options) -> list[ModelSettings]:
    """Returns the models to serve from the start: those of the config file, or the one that flags name.

    Raises:
        ServingError: the config file cannot be used.
    """
    if options.model_config_file:
        return read_models(options.model_config_file)
    return [ModelSettings(options.model_name, options.model_base_path)]
