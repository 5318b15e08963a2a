"""The whole road in one command, and the same road cut short at any place."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from keras_attn.cli.demo import _how_to_ask
from keras_attn.cli.server_process import serving

from ..waiting import wait_until

_SMALL = ["--pairs", "700", "--set", "training.epochs=1", "--set", "model.units=16"]
_TIMEOUT = 240
_MAIN = "-m", "keras_attn.cli.main"
# With fewer signatures to export and to warm up; it asks its server for as long as it takes to be stopped.
_SHORT = """
import sys, time
from keras_attn.cli import demo
from keras_attn.cli.main import main
from keras_attn.quiet import import_tensorflow
import_tensorflow()
from keras_attn.export import warmup
from keras_attn.export.service import signatures
for module in (signatures, warmup):
    module.signature_names = lambda service: ("serving_default", "score")
demo._compare = lambda *arguments: time.sleep(600)
main(sys.argv[1:])
"""


def start_demo(run_path, *arguments, program=_MAIN):
    # Python does not answer an interrupt where it was started to ignore it, as a background job is.
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.executable, [sys.executable, '-u', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", script, *program, "demo", "--run", str(run_path)]
    # The user has not set how much TensorFlow logs, the tests may have.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.Popen(
        [*command, *_SMALL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def processes_of(run_path):
    """Command lines of the processes, this test's own left out, that name the run folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(run_path) in command and int(entry.name) != os.getpid():
            found.append(command)
    return found


def unfinished_exports(run_path):
    exports = [path for path in run_path.glob("export/**/*") if path.name == "saved_model.pb"]
    hidden = [path for path in run_path.glob("**/.*-*") if path.is_dir()]
    return hidden + [path for path in exports if not (path.parent / "variables").is_dir()]


class Finished(NamedTuple):
    run_path: Path
    out: str
    err: str
    answer: bytes
    processes: list


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A demo with its server left running, which is asked and then stopped."""
    run_path = tmp_path_factory.mktemp("demo") / "run"
    out, err = start_demo(run_path, "--keep-serving").communicate(timeout=_TIMEOUT)
    pid = int(re.search(r"kill (\d+)", out).group(1))
    try:
        url, body = re.search(r"curl (\S+) -d '(.*)'", out).groups()
        with urllib.request.urlopen(urllib.request.Request(url, body.encode())) as response:
            answer = response.read()
        processes = processes_of(run_path)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not processes_of(run_path))
    return Finished(run_path, out, err, answer, processes)


def assert_interrupted(demo, run_path):
    _, err = demo.communicate(timeout=_TIMEOUT)
    assert demo.returncode == 130
    assert err.strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in err
    assert processes_of(run_path) == []
    assert unfinished_exports(run_path) == []


@pytest.mark.exhaustive
def test_demo_shows_the_whole_road(finished):
    # What is waited for, and nothing of TensorFlow.
    assert [line.split()[0] for line in finished.err.splitlines()] == ["Importing", "Exporting", "Waiting"]
    for part in ("Exact match", "SavedModel", "The answers are the same.", "Timings", "start the server"):
        assert part in finished.out
    page = (finished.run_path / "alignment.html").read_text(encoding="utf-8")
    assert page.count("<table") == 8
    assert "월" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (finished.run_path / "export" / "dates" / "1" / "saved_model.pb").exists()


@pytest.mark.exhaustive
def test_keep_serving_leaves_a_server_and_says_how_to_ask_it(finished):
    assert b"predictions" in finished.answer
    assert len(finished.processes) == 1


def test_a_server_ends_with_its_block(tmp_path):
    with serving("none", tmp_path / "models", tmp_path / "server.log") as server:
        wait_until(lambda: len(processes_of(tmp_path)) == 1)
        assert server.pid
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("marker", ["", pytest.param("parameters", marks=pytest.mark.exhaustive)])
def test_an_interrupt_before_and_while_training(tmp_path, marker):
    run_path = tmp_path / "run"
    demo = start_demo(run_path)
    for line in demo.stdout:
        if marker in line:
            break
    demo.send_signal(signal.SIGINT)
    assert_interrupted(demo, run_path)


@pytest.mark.exhaustive
def test_an_interrupt_while_exporting_leaves_no_half_written_version(finished):
    demo = start_demo(finished.run_path, program=("-c", _SHORT))
    wait_until(lambda: list(finished.run_path.glob("export/**/.*/saved_model.pb")))
    demo.send_signal(signal.SIGINT)
    assert_interrupted(demo, finished.run_path)
    assert [path.name for path in finished.run_path.glob("export/dates/*")] == ["1"]


@pytest.mark.exhaustive
def test_a_stop_while_serving(finished):
    demo = start_demo(finished.run_path, program=("-c", _SHORT))
    assert any("4. Serve" in line for line in demo.stdout)
    demo.send_signal(signal.SIGTERM)
    assert_interrupted(demo, finished.run_path)


def test_the_question_can_be_pasted(capsys):
    _how_to_ask(SimpleNamespace(pid=7, rest_url="http://localhost:1"), "l'été")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "curl" in line]
    assert json.loads(shlex.split(line)[-1]) == {"instances": ["l'été"]}
