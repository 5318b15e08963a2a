"""Checks of ports and settings files before TensorFlow is imported."""

from __future__ import annotations

from keras_attn.serving.file_system import is_url
from keras_attn.serving.server.options import Options
from keras_attn.serving.sockets import bind_rest, check_grpc


def check_files_and_ports(options: Options, has_rest: bool) -> None:
    """Reads the settings files and tries the ports; the server does both again where it uses them.

    Args:
        options: settings of the server.
        has_rest: whether REST is to be served.

    Raises:
        ServingError: a settings file cannot be used.
        PortInUse: a port cannot be had.
    """
    for path, read in _settings_files(options):
        if path and not is_url(path):  # others are TensorFlow's to read
            read(path)
    check_grpc(options.port)
    if has_rest:
        bind_rest(options.rest_api_port).close()


def _settings_files(options: Options) -> list:
    # In the order in which the server reads them. Imported here: they need packages that may be missing.
    from keras_attn.serving.batching.parameters import read_batching_parameters
    from keras_attn.serving.rest.operator_pages import metrics_path
    from keras_attn.serving.server.config_file import read_models
    from keras_attn.serving.server.tls import server_credentials

    batching = options.batching_parameters_file if options.enable_batching else ""
    return [
        (options.ssl_config_file, server_credentials),
        (options.monitoring_config_file, metrics_path),
        (batching, read_batching_parameters),
        (options.model_config_file, read_models),
    ]
