"""The `keras-attn` command: parses, runs, and says what went wrong in one sentence."""

import importlib
import signal
import sys

import click

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
# By name: to import them would load TensorFlow before the command asks for it.
_USERS_ERRORS = {
    "builtins.FileExistsError",
    "keras_attn.export.ops.UnservableOpError",
    "keras_attn.export.verification.VerificationError",
    "keras_attn.serving.client_errors.ServerError",
    "keras_attn.text_to_text.TextTooLongError",
    "keras_attn.training.text_files.DataError",
    "keras_attn.training.section.RecipeError",
    "keras_attn.training.non_finite.NonFiniteError",
    "keras_attn.training.run_error.RunError",
}
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
        Never: exits with 0, with 1 and one sentence for input that cannot be used, with 2 for a wrong call,
        or with 130 after an interrupt.
    """
    # A polite kill is answered like Ctrl-C: children are stopped, unfinished files removed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(cli.main(args=argv, prog_name="keras-attn", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _fail("Interrupted.", _INTERRUPTED)
    except Exception as error:
        if not _is_users(error):
            raise
        _fail(f"Error: {error}", 1)


def _interrupt(number, frame):
    raise KeyboardInterrupt


def _fail(sentence, code):
    click.echo(sentence, err=True)
    sys.exit(code)


def _is_users(error):
    """Whether an error speaks of what the user gave. Anything else is a defect and keeps its traceback."""
    if isinstance(error, OSError) and error.filename is not None:  # a path that cannot be read or written
        return True
    return any(f"{kind.__module__}.{kind.__qualname__}" in _USERS_ERRORS for kind in type(error).__mro__)


if __name__ == "__main__":
    main()
