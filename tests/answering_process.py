"""A Python process that answers one request after another: TensorFlow is imported once for all of them."""

import contextlib
import json
import subprocess
import sys
import tempfile


class AnsweringProcess:
    """Runs a script that reads a JSON list a line and writes a line when it is done with it.

    Args:
        *arguments: of Python: `-c`, and the script; or the path of one.
        environment: of the process; that of this one when None.
    """

    def __init__(self, *arguments, environment=None):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
        command = [sys.executable, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        self._process = subprocess.Popen(command, text=True, env=environment, **pipes)

    def ask(self, *request):
        """Hands over a request and waits until it is done."""
        try:
            print(json.dumps(list(map(str, request))), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer != "done\n":
            self._process.kill()
            self._process.wait()
            self._errors.seek(0)
            raise AssertionError(answer + self._errors.read()[-3000:])

    def close(self):
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()
        self._errors.close()
