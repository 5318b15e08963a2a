"""An interrupt ends the process also where native code keeps the interpreter waiting."""

import signal
import subprocess
import sys

import pytest

# A mutex that is locked twice: no signal ends the waiting, and other threads run.
BLOCKED = """
import ctypes, signal
from keras_attn.cli.prompt_end import prompt_end
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
with prompt_end(lambda: print("last words", flush=True), grace_s=0):
    libc.pthread_mutex_lock(mutex)
    print("blocked", flush=True)
    libc.pthread_mutex_lock(mutex)
"""
IN_ORDER = """
import os, signal
from keras_attn.cli.prompt_end import prompt_end
for number in (signal.SIGINT, signal.SIGTERM):  # a background job of a shell ignores SIGINT
    signal.signal(number, signal.default_int_handler)
try:
    with prompt_end(lambda: print("last words", flush=True), grace_s=1000):
        os.kill(os.getpid(), signal.{name})
        while True:
            pass
except KeyboardInterrupt:
    print("in order", signal.set_wakeup_fd(-1))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_native_code_does_not_hold_it_up(number):
    command = [sys.executable, "-c", BLOCKED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "blocked\n"
        process.send_signal(number)
        assert process.stdout.read() == "last words\n"
    assert process.returncode == 130


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_what_ends_in_order_is_left_to_it(run_python, name):
    assert run_python(IN_ORDER.replace("{name}", name)) == "in order -1\n"


SWALLOWED = """
import gc, os, signal, threading
from keras_attn.cli.prompt_end import prompt_end
def interrupted(phase, details):
    gc.callbacks.remove(interrupted)
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        pass
signal.signal(signal.SIGINT, signal.default_int_handler)
with prompt_end(lambda: print("last words", flush=True), grace_s=0.01):
    gc.callbacks.append(interrupted)
    gc.collect()
    threading.Event().wait()
"""


def test_an_interrupt_that_a_callback_swallows(run_python):
    ran = run_python(SWALLOWED, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "last words\n", "")
