"""What the load benchmarks share: two models, server processes, and client processes that ask them."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_attn.serving import connect

START_SECONDS = 300
HALF, DECODER = "half_plus_two", "decoder"
CLIENTS = Path(__file__).with_name("serving_clients.py")


@dataclass(frozen=True)
class ServerProcess:
    """A running server.

    Args:
        pid: its process id.
        rest_port: port of REST.
        grpc_port: port of gRPC.
    """

    pid: int
    rest_port: int
    grpc_port: int

    def memory_mb(self):
        """Returns the resident memory in MB."""
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True, check=True)
        return int(shown.stdout) * 1024 / 1e6


@contextlib.contextmanager
def models(max_length):
    """Exports both models; yields a folder with the server's config file, and the requests of each model."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no server outlives this process
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save_half_plus_two(folder / HALF / "1")
        texts = _save_decoder(folder / DECODER, max_length)
        entries = [
            f'config {{ name: "{model}" base_path: "{folder / model}" model_platform: "tensorflow" }}'
            for model in (HALF, DECODER)
        ]
        (folder / "models.config").write_text(f"model_config_list {{ {' '.join(entries)} }}")
        yield folder, {HALF: [{"x": [1.0, 2.0, 5.0]}], DECODER: [{"text": [text]} for text in texts]}


def _save_half_plus_two(path):
    import tensorflow as tf

    class HalfPlusTwo(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def call(self, x):
            return {"y": x / 2.0 + 2.0}

    module = HalfPlusTwo()
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.call})


def _save_decoder(path, max_length):
    """Two layers of width 128 each side, random weights; texts of 5 to 20 tokens."""
    from in_graph_batching import untrained

    from keras_attn.export import export_saved_model

    text_to_text, texts = untrained(max_length)
    export_saved_model(text_to_text, path)
    return texts


@contextlib.contextmanager
def server(folder, flags=()):
    """A `ServerProcess` with both models that runs while the block does."""
    rest_port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "keras_attn.serving", f"--model_config_file={folder / 'models.config'}"]
    command += [f"--rest_api_port={rest_port}", f"--port={grpc_port}", *flags]
    command += ["--rest_api_num_threads=64", "--grpc_max_threads=64"]
    log_path = folder / f"{rest_port}.log"
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_until_available(rest_port, process, log_path)
        yield ServerProcess(process.pid, rest_port, grpc_port)
    finally:
        process.terminate()
        process.wait()


def _wait_until_available(port, process, log_path):
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError), connect(f"http://localhost:{port}", DECODER) as client:
            client.wait_until_available(timeout_s=1)
            return
    raise SystemExit(f"The server did not start:\n{log_path.read_text(encoding='utf-8')}")


def free_port():
    """Returns a port that nobody listens on."""
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


class Load:
    """Clients that ask one model over one protocol, in a process of their own that imports no TensorFlow.

    Args:
        process: the server.
        model: name of the model.
        protocol: `REST` or `gRPC`.
        requests: inputs, asked for in turn.
        clients: how many ask side by side, each over a connection of its own.
    """

    def __init__(self, process, model, protocol, requests, clients):
        self._child = subprocess.Popen(
            [sys.executable, str(CLIENTS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        body = _rest_body if protocol == "REST" else _grpc_body
        settings = {
            "protocol": protocol,
            "port": process.rest_port if protocol == "REST" else process.grpc_port,
            "model": model,
            "bodies": [body(model, inputs) for inputs in requests],
            "clients": clients,
        }
        self._tell(settings)
        self._answer()  # connected

    def start(self, seconds):
        """Begins to ask, for so many seconds."""
        self._tell(seconds)

    def finish(self):
        """Waits for the end; returns milliseconds of each answer, number of refusals, and seconds it took."""
        answer = self._answer()
        return np.array(answer["milliseconds"]), answer["refused"], answer["seconds"]

    def run(self, seconds):
        """Asks for so many seconds; returns what `finish` does."""
        self.start(seconds)
        return self.finish()

    def close(self):
        """Ends the process."""
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def _tell(self, value):
        self._child.stdin.write(json.dumps(value) + "\n")
        self._child.stdin.flush()

    def _answer(self):
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit("The process of the clients ended; what went wrong stands above.")
        return json.loads(line)


def _rest_body(model, inputs):
    return json.dumps({"inputs": inputs}).encode().hex()


def _grpc_body(model, inputs):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return request.SerializeToString().hex()
