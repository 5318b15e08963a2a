"""The server process: flags in, two ports open, and a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any
from urllib.parse import quote

from keras_attn.errors import UserError
from keras_attn.extras import naming_the_extra
from keras_attn.quiet import import_tensorflow
from keras_attn.serving.server.early_checks import check_files_and_ports
from keras_attn.serving.server.flags import FlagError, check_options, parse_flags, usage
from keras_attn.serving.server.options import Options, ignored_options
from keras_attn.serving.server.signals import stop_event

_FAILED = 255
_log = logging.getLogger("keras_attn.serving")


def main(argv: list[str]) -> int:
    """Runs a model server until it is told to stop.

    Args:
        argv: flags without the program's name, in TensorFlow Serving's syntax.

    Returns:
        Exit code: 0 after SIGTERM or SIGINT, 255 if the server could not start.
    """
    if any(flag in argv for flag in ("--help", "-h")):
        print(usage())
        return 0
    try:
        options, unknown = parse_flags(argv)
    except FlagError as error:
        print(usage())
        print(error, file=sys.stderr)
        return _FAILED
    if options.version:
        _print_versions()
        return 0
    if unknown:
        print(f"unknown argument: {unknown[0]}\n{usage()}", flush=True)
    return _start(options)


def _start(options: Options) -> int:
    # The log goes to stderr, as the flags promise; how a start ended goes to stdout, as in the stock server.
    _log_to_stderr()
    for name, why in ignored_options(options).items():
        _log.warning("Flag --%s has no effect: %s.", name, why)
    try:
        check_options(options)
        with naming_the_extra():
            return _serve(options)
    except UserError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
    return _FAILED


def _serve(options: Options) -> int:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failures arrive as exceptions
    has_rest = _has_rest(options)
    check_files_and_ports(options, has_rest)
    stop = stop_event()
    _log.info("Importing TensorFlow.")
    import_tensorflow()
    from keras_attn.serving.models.session import disable_xla
    from keras_attn.serving.server.server import Server

    if not options.xla_cpu_compilation_enabled:
        disable_xla()
    server = Server(options, rest=has_rest)
    try:
        if server.start(stop):
            _announce(server)
            stop.wait()
    finally:
        finished = server.stop()
    if not finished:
        # A run that does not end would keep its thread, and so the process, alive for ever.
        print("Some requests did not finish in time and were dropped.", file=sys.stderr, flush=True)
        os._exit(0)
    return 0


def _has_rest(options: Options) -> bool:
    if options.rest_api_port and options.rest_api_port == options.port:
        _log.error("REST is off: --rest_api_port is the port of gRPC. Choose another one.")
        return False
    return options.rest_api_port != 0


def _announce(server: Any) -> None:
    """Tells users, and programs that wait for the line, where the models are served."""
    for model in server.registry.models:
        versions = [status.version for status in model.statuses() if status.state.name == "AVAILABLE"]
        what = f"model {model.name} version {max(versions, default='none yet')}"
        for address in server.grpc_addresses:
            print(f"Serving {what} over gRPC at {address}", flush=True)
        if server.rest_port:
            url = f"http://localhost:{server.rest_port}/v1/models/{quote(model.name, safe='')}"
            print(f"Serving {what} over REST at {url}", flush=True)


def _print_versions() -> None:
    from importlib.metadata import version

    print(f"TensorFlow ModelServer: keras_attn {version('keras-attn')}")
    print(f"TensorFlow Library: {version('tensorflow')}")


def _log_to_stderr() -> None:
    if not _log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _log.addHandler(handler)
        _log.setLevel(logging.INFO)
        _log.propagate = False
