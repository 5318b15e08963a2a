"""The server process: flags in, two ports open, and a clean end on SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import sys

from .errors import ServingError
from .flags import FlagError, check_options, parse_flags, usage
from .listening import PortInUse
from .options import Options
from .quiet import import_tensorflow
from .signals import stop_event

_FAILED = 255


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
        for argument in unknown:
            print(f"unknown argument: {argument} (ignored; --help lists the flags)", file=sys.stderr)
        check_options(options)
        return _serve(options)
    except (FlagError, PortInUse, ServingError) as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"module {error.name!r} is missing. Install it with: pip install 'keras-attn[serve]'"
    print(f"Failed to start server. Error: {problem}", file=sys.stderr)
    return _FAILED


def _serve(options: Options) -> int:
    _log_to_stderr()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failures arrive as exceptions
    stop = stop_event()
    import_tensorflow()
    from .running import Server
    from .session import disable_xla

    disable_xla()
    server = Server(options, rest=bool(options.rest_api_port))
    try:
        if server.start(stop):
            _announce(options, server)
            stop.wait()
    finally:
        finished = server.stop()
    if not finished:
        # A run that does not end would keep its thread, and so the process, alive for ever.
        print("Some requests did not finish in time and were dropped.", file=sys.stderr, flush=True)
        os._exit(0)
    return 0


def _announce(options: Options, server: object) -> None:
    """Tells users, and programs that wait for the line, where the model is served."""
    model = server.registry.models[0]
    versions = [status.version for status in model.statuses() if status.state.name == "AVAILABLE"]
    what = f"model {model.name} version {max(versions)}"
    print(f"Serving {what} over gRPC at 0.0.0.0:{server.grpc_port}", flush=True)
    if server.rest_port:
        print(
            f"Serving {what} over REST at http://localhost:{server.rest_port}/v1/models/{model.name}",
            flush=True,
        )


def _log_to_stderr() -> None:
    log = logging.getLogger("keras_attn.serving")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.propagate = False
