"""The `keras-attn` command: parses, runs, and says what went wrong in one sentence."""

import errno
import importlib
import os
import signal
import sys

import click

from keras_attn.errors import UserError

# Commands are imported when they run: `keras-attn --help` loads no TensorFlow.
_COMMANDS = {
    "demo": "Train, export, serve and query on generated dates.",
    "train": "Train the model of a recipe.",
    "average": "Average the weights of several epochs of a run.",
    "evaluate": "Translate the held-out pairs of a run and score them.",
    "compare": "Say whether one run is better than another, and how surely.",
    "translate": "Translate texts with a trained run.",
    "export": "Write a run as a version of a TensorFlow Serving model.",
    "verify": "Prove that an export answers the same whichever way it is asked.",
    "deploy": "Write the files that run an export in stock TensorFlow Serving.",
    "serve": "Serve exported models over REST and gRPC.",
    "query": "Ask a server over REST or gRPC.",
}
# By name: to import it would load TensorFlow before the command asks for it.
_TENSORFLOWS_ERROR = "tensorflow.python.framework.errors_impl.OpError"
# A disk that takes no more: Python names no file in most of these errors.
_DISKS_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_INTERRUPTED = 130


class _Commands(click.Group):
    def list_commands(self, context):
        return list(_COMMANDS)

    def get_command(self, context, name):
        if name not in _COMMANDS:
            return None
        return importlib.import_module(f"keras_attn.cli.{name}").command

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="keras-attn")
def cli():
    """Attention models for text: train, export, serve."""


def main(argv=None):
    """Runs the command line.

    Args:
        argv: the arguments; those of the process when None.

    Returns:
        Never: exits with 0, with 1 and one sentence for input that cannot be used or a disk that is full,
        with 2 for a wrong call, or with 130 after an interrupt.
    """
    # A polite kill is answered like Ctrl-C: children are stopped, unfinished files removed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _check_encoding(sys.argv[1:] if argv is None else argv)
        sys.exit(cli.main(args=argv, prog_name="keras-attn", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("Interrupted.", _INTERRUPTED)
    except Exception as error:
        words = _disks_words(error)
        if words:
            room = "Free some space or give another folder, and run the same command again."
            _fail(f"Error: A file could not be written: {words}. {room}", 1)
        if not _is_users(error):
            raise
        _fail(f"Error: {error}", 1)


def _check_encoding(arguments):
    """Refuses what is no text: tokenizers, gRPC, URLs and YAML want UTF-8, and so does the terminal."""
    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(
                f"Argument {number} is no UTF-8. Expected text. Received: {os.fsencode(argument)!r}. "
                "Convert it first, for example with iconv."
            ) from None


def _interrupt(number, frame):
    raise KeyboardInterrupt


def _fail(sentence, code):
    click.echo(sentence, err=True)
    sys.exit(code)


def _disks_words(error):
    """The system's words for a full disk, with the file where it is known; None for other errors."""
    if isinstance(error, OSError) and error.errno in _DISKS_ERRORS:
        words = os.strerror(error.errno)  # the message itself may be a page long, as h5py's
        return f"{words}: {error.filename}" if error.filename else words
    if _TENSORFLOWS_ERROR not in (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__):
        return None
    # TensorFlow has one error for disk and memory, and the system's words behind the file's name.
    return next((words for words in map(os.strerror, _DISKS_ERRORS) if words in str(error)), None)


def _is_users(error):
    """Whether the user can mend an error. Anything else is a defect and keeps its traceback."""
    # An OSError with a file name is a path that cannot be read or written.
    return isinstance(error, UserError) or (isinstance(error, OSError) and error.filename is not None)


if __name__ == "__main__":
    main()
