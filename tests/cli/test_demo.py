"""The whole road in one command, and the same road cut short at any place."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_SMALL = ["--pairs", "700", "--set", "training.epochs=1", "--set", "model.units=16"]
_TIMEOUT = 240


def start_demo(run_path, *arguments):
    # Python does not answer an interrupt where it was started to ignore it, as a background job is.
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.executable, [sys.executable, '-u', '-m', 'keras_attn.cli.main', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", script, "demo", "--run", str(run_path)]
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


def test_demo_shows_the_whole_road(tmp_path):
    run_path = tmp_path / "run"
    out, err = start_demo(run_path).communicate(timeout=_TIMEOUT)
    assert err == ""
    for part in ("Exact match", "SavedModel", "The answers are the same.", "Timings", "start the server"):
        assert part in out
    page = (run_path / "alignment.html").read_text(encoding="utf-8")
    assert page.count("<table") == 8
    assert "월" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (run_path / "export" / "dates" / "1" / "saved_model.pb").exists()
    assert processes_of(run_path) == []


def test_keep_serving_leaves_a_server_and_says_how_to_ask_and_stop_it(tmp_path):
    run_path = tmp_path / "run"
    out, err = start_demo(run_path, "--keep-serving").communicate(timeout=_TIMEOUT)
    pid = int(re.search(r"kill (\d+)", out).group(1))
    try:
        url, body = re.search(r"curl (\S+) -d '(.*)'", out).groups()
        with urllib.request.urlopen(urllib.request.Request(url, body.encode())) as response:
            assert b"predictions" in response.read()
        assert len(processes_of(run_path)) == 1
    finally:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while processes_of(run_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(run_path) == []
    assert err == ""


@pytest.mark.parametrize(
    ("marker", "number"),
    [
        ("", signal.SIGINT),
        ("parameters", signal.SIGINT),
        ("3. Export", signal.SIGINT),
        ("4. Serve", signal.SIGTERM),
    ],
)
def test_interrupt_leaves_no_process_and_no_half_written_version(tmp_path, marker, number):
    run_path = tmp_path / "run"
    demo = start_demo(run_path)
    for line in demo.stdout:
        if marker in line:
            break
    demo.send_signal(number)
    _, err = demo.communicate(timeout=_TIMEOUT)
    assert demo.returncode == 130
    assert err.strip().splitlines()[-1] == "Interrupted."
    assert "Traceback" not in err
    assert processes_of(run_path) == []
    assert unfinished_exports(run_path) == []
