"""A server of our own as a child process that never outlives its use."""

import contextlib
import signal
import socket
import subprocess
import sys
import time

import click

_START_SECONDS = 60
_STOP_SECONDS = 10


class ServerFailedError(click.ClickException):
    """The server did not come up; the message holds what it wrote."""


class ServerProcess:
    """A running server.

    Attributes:
        rest_url: e.g. `http://localhost:8501`.
        grpc_address: e.g. `localhost:8500`.
        pid: of the process.
    """

    def __init__(self, process, grpc_port, rest_port, log_path):
        self._process = process
        self.pid = process.pid
        self.rest_url = f"http://localhost:{rest_port}"
        self.grpc_address = f"localhost:{grpc_port}"
        self._log_path = log_path
        self._kept = False

    def keep(self):
        """Leaves the process running when the block ends."""
        self._kept = True

    def wait_until_available(self, client):
        """Waits until the server answers for the client's model.

        Raises:
            ServerFailedError: if the process ends before, or takes longer than a minute.
        """
        deadline = time.monotonic() + _START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                client.wait_until_available(timeout_s=1)
                return
        log = self._log_path.read_text(encoding="utf-8", errors="replace").strip()
        raise ServerFailedError(f"The server did not start. It wrote to {self._log_path}:\n{log}")

    def stop(self):
        """Stops the process unless it is to be kept; a second interrupt does not cut this short."""
        if self._kept:
            return
        with _interrupts_ignored():
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


@contextlib.contextmanager
def serving(model_name, base_path, log_path):
    """Runs a server for one model on free ports while the block runs.

    Args:
        model_name: the name to serve under.
        base_path: the folder that holds the versions.
        log_path: file for what the server writes.

    Yields:
        `ServerProcess`.
    """
    grpc_port, rest_port = _free_port(8500), _free_port(8501)
    command = [
        *(sys.executable, "-m", "keras_attn.serving"),
        *(f"--model_name={model_name}", f"--model_base_path={base_path}"),
        *(f"--port={grpc_port}", f"--rest_api_port={rest_port}"),
    ]
    server = None
    try:
        with log_path.open("w") as log:
            # A session of its own: Ctrl-C reaches this process alone, which then stops the server in order.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        server = ServerProcess(process, grpc_port, rest_port, log_path)
        yield server
    finally:
        if server:
            server.stop()


def _free_port(preferred):
    """`preferred`, or some free port where it is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return probe.getsockname()[1]
    raise ServerFailedError("No free TCP port was found.")


@contextlib.contextmanager
def _interrupts_ignored():
    previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
