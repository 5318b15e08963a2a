"""The server as a process of its own: messages at start-up, signals, the log on stderr, new versions."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import tensorflow as tf

from keras_attn.serving import GrpcClient, Server, ServerError, connect
from keras_attn.serving.server.assembly import first_models
from keras_attn.serving.server.main import _has_rest, main
from keras_attn.serving.server.options import Options

from ..conftest import HalfPlus, save

TIMEOUT_S = 60.0


@contextlib.contextmanager
def running(*flags):
    """A server process; killed at the end if it still runs."""
    command = [sys.executable, "-m", "keras_attn.serving", *flags]
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, env=environment, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def free_ports():
    with socket.create_server(("", 0)) as one, socket.create_server(("", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


def logged(err):
    """The lines of a log without their times."""
    return [line.split(maxsplit=2)[2] for line in err.splitlines()]


def test_serve_upgrade_and_stop(models, tmp_path):
    shutil.copytree(models["half"] / "1", tmp_path / "1")
    grpc_port, rest_port = free_ports()
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", "--model_name=half"]
    with running(*flags, "--model_base_path", str(tmp_path), "--no_such_flag=1") as process:
        assert process.stdout.readline() == "unknown argument: --no_such_flag=1\n"
        lines = list(itertools.islice((x for x in process.stdout if x.startswith("Serving")), 2))
        assert lines == [
            f"Serving model half version 1 over gRPC at 0.0.0.0:{grpc_port}\n",
            f"Serving model half version 1 over REST at http://localhost:{rest_port}/v1/models/half\n",
        ]
        client = connect(f"http://127.0.0.1:{rest_port}", "half")
        with GrpcClient(f"127.0.0.1:{grpc_port}", "half") as grpc_client:
            assert client.predict([1]) == grpc_client.predict({"x": [1]}) == [2.5]
        shutil.copytree(models["half"] / "7", tmp_path / ".copy")
        (tmp_path / ".copy").rename(tmp_path / "7")
        answers = {2.5}
        while client.status() != {7: "AVAILABLE", 1: "END"}:
            answers.add(client.predict([1])[0])
        assert client.predict([1]) == [3.5]
        assert answers <= {2.5, 3.5}
        client.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
    assert logged(err) == [
        "INFO Importing TensorFlow.",
        f"INFO Model half version 1: loading {tmp_path / '1'}.",
        "INFO Model half version 1 is available.",
        f"INFO Model half version 7: loading {tmp_path / '7'}.",
        "INFO Model half version 7 is available.",
        "INFO Model half version 1 was unloaded.",
        "INFO Model half version 7 was unloaded.",
    ]


@pytest.mark.exhaustive
def test_ctrl_c_and_xla_disabled_as_in_the_stock_server(tmp_path):
    class Compiled(HalfPlus):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")], jit_compile=True)
        def call(self, x):
            return {"y": x + 1.0}

    save(Compiled(1.0), tmp_path / "1")
    grpc_port, _ = free_ports()
    with running(f"--port={grpc_port}", f"--model_base_path={tmp_path}") as process:
        assert "over gRPC" in process.stdout.readline()
        with (
            GrpcClient(f"127.0.0.1:{grpc_port}") as client,
            pytest.raises(ServerError, match="INTERNAL: XLA compilation disabled"),
        ):
            client.predict({"x": [1]})
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, out) == (0, "")
        assert logged(err) == [
            "INFO Importing TensorFlow.",
            f"INFO Model default version 1: loading {tmp_path / '1'}.",
            "INFO Model default version 1 is available.",
            "INFO Model default version 1 was unloaded.",
        ]


@pytest.mark.exhaustive
def test_waiting_for_a_base_path_can_be_stopped(tmp_path):
    grpc_port, _ = free_ports()
    with running(f"--port={grpc_port}", f"--model_base_path={tmp_path}/nothing") as process:
        assert "INFO Importing TensorFlow." in process.stderr.readline()
        line = process.stderr.readline()
        assert re.search(
            rf"WARNING Could not read the base path {tmp_path}/nothing of model default: No such", line
        )
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", grpc_port))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
        assert "Traceback" not in err


def test_a_first_version_that_does_not_load(tmp_path, monkeypatch, capsys, caplog):
    (tmp_path / "3").mkdir()
    monkeypatch.setattr("keras_attn.serving.server.main._serve", started)
    assert main(["--port=0", f"--model_base_path={tmp_path}", "--max_num_load_retries=0"]) == 255
    captured = capsys.readouterr()
    assert captured.out == (
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available:"
        " {{{name: default version: 3} due to error: NOT_FOUND: Could not find SavedModel .pb or .pbtxt at"
        f" supplied export directory path: {tmp_path}/3. Check that the directory exists and that you have"
        " the right permissions for accessing it.}, }\n"
    )
    assert "Traceback" not in captured.err + caplog.text


def started(options):
    """A server without signal handlers, which are the whole process's."""
    with Server(options, rest=False):
        return 0


def test_a_config_file_that_is_none(tmp_path, monkeypatch, capsys, caplog):
    path = tmp_path / "models.conf"
    path.write_text("improperly formatted file contents\n")
    monkeypatch.setattr(
        "keras_attn.serving.server.main._serve", first_models
    )  # no process, no signal handlers
    assert main([f"--model_config_file={path}"]) == 255
    captured = capsys.readouterr()
    assert captured.out.startswith("Failed to start server. Error: INVALID_ARGUMENT: ")
    log = captured.err + caplog.text
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig: 1:" in log
    assert f"Invalid protobuf file: '{path}'" in log


def test_a_port_in_use(models, monkeypatch, capsys):
    monkeypatch.setattr(
        "keras_attn.serving.server.main._serve", Server
    )  # ports are bound before anything runs
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main([f"--rest_api_port={port}", "--port=0", f"--model_base_path={models['half']}"]) == 255
    assert capsys.readouterr().out == (
        f"Failed to start server. Error: cannot listen on port {port} (Address already in use)."
        " Choose another one with --rest_api_port.\n"
    )


@pytest.mark.parametrize(
    ("flags", "out", "err"),
    [
        (["--port=many"], "Flags:", "flag --port expects a whole number. Received: 'many'"),
        (["--model_base_path=/m", "--port=70000"], "Error: flag --port expects a port from 0 to 65535", ""),
        ([], "Error: INVALID_ARGUMENT: Both server_options.model_base_path and", ""),
        (["--num_tflite_pools=3"], "Both", "Flag --num_tflite_pools has no effect: TensorFlow Lite models"),
    ],
)
def test_flags_that_cannot_work(capsys, caplog, flags, out, err):
    assert main(flags) == 255
    captured = capsys.readouterr()
    assert out in captured.out
    assert err in captured.err + caplog.text


def test_rest_needs_a_port_of_its_own(caplog):
    assert _has_rest(Options(port=7, rest_api_port=5))
    assert not _has_rest(Options(port=0, rest_api_port=0))
    assert not _has_rest(Options(port=7, rest_api_port=7))
    assert caplog.messages == ["REST is off: --rest_api_port is the port of gRPC. Choose another one."]


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    assert "--rest_api_port=0" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert f"TensorFlow Library: {tf.__version__}" in capsys.readouterr().out


def test_a_package_that_is_not_installed(capsys, monkeypatch):
    def serve(options):
        raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")

    monkeypatch.setattr("keras_attn.serving.server.main._serve", serve)
    assert main(["--model_base_path=/models"]) == 255
    assert "`uvicorn` is not installed. Run: pip install 'keras-attn[serve]'" in capsys.readouterr().out


def test_the_rest_client_imports_no_tensorflow(run_python):
    code = (
        "import sys\n"
        "from keras_attn.serving import connect, ServerError, Options\n"
        "connect('http://localhost:1')\n"
        "assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules, 'imported'\n"
    )
    assert run_python(code) == ""


@pytest.mark.exhaustive
def test_tensorflow_is_imported_quietly():
    code = (
        "import sys\n"
        "from keras_attn.quiet import import_tensorflow\n"
        "assert import_tensorflow() is sys.modules['tensorflow']\n"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.exhaustive
def test_killed_under_load_and_started_again(models):
    grpc_port, rest_port = free_ports()
    flags = [f"--port={grpc_port}", f"--rest_api_port={rest_port}", f"--model_base_path={models['half']}"]
    answers, stop = [], threading.Event()

    def ask():
        with connect(f"http://127.0.0.1:{rest_port}", retries=0) as client:
            while not stop.is_set():
                try:
                    answers.append(client.predict([1]))
                except OSError:  # while there is no server
                    stop.wait(0.05)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    client = connect(f"http://127.0.0.1:{rest_port}")
    try:
        with running(*flags) as first:
            client.wait_until_available(TIMEOUT_S)
            for thread in asking:
                thread.start()
            while len(answers) < 29:
                time.sleep(0.01)
            first.kill()
            first.wait(TIMEOUT_S)
        before = len(answers)
        with running(*flags) as second:
            client.wait_until_available(TIMEOUT_S)
            while len(answers) < before + 29:
                time.sleep(0.01)
            assert second.poll() is None
    finally:
        stop.set()
        for thread in asking:
            thread.join(TIMEOUT_S)
        client.close()
    assert set(map(tuple, answers)) == {(3.5,)}
