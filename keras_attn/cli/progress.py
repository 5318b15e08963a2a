"""Lines that say what a command is at, on stderr, so that stdout holds its result alone."""

import contextlib
import sys
import time

import click


class Progress:
    """Tells one step after the other, with the seconds so far; in a terminal on one line, which it clears.

    Example:

        with Progress() as progress:
            progress("loading")
    """

    def __init__(self):
        self._began = time.monotonic()
        self._rewrites = sys.stderr.isatty()

    def __call__(self, step):
        """Says which step begins."""
        line = f"{time.monotonic() - self._began:5.0f} s  {step}"
        with contextlib.suppress(OSError):  # whoever read it has gone: the work goes on
            if self._rewrites:
                click.echo(f"\r\033[K{line}", err=True, nl=False)
            else:
                click.echo(line, err=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self._rewrites:
            with contextlib.suppress(OSError):
                click.echo("\r\033[K", err=True, nl=False)
