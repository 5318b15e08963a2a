"""`keras-attn serve`."""

from pathlib import Path

import click


class NoSavedModelError(click.ClickException):
    """The newest version is no SavedModel; the server alone would try to load it for minutes."""

    exit_code = 255


@click.command(
    "serve",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def command(flags):
    """Serve exported models over REST and gRPC; the flags are TensorFlow Serving's."""
    from keras_attn.serving.server.main import main

    _check_base_path([*flags])
    return main([*flags])


def _check_base_path(flags):
    """Refuses a folder in which no version will ever appear; the server alone would wait for one.

    An absent or empty folder is waited for, as TensorFlow Serving does: a first export may be on its way.
    """
    from keras_attn.serving.models.version_dirs import list_versions
    from keras_attn.serving.server.flags import FlagError, parse_flags

    try:
        path = Path(parse_flags(flags)[0].model_base_path or "/none")
    except FlagError:
        return  # the server says it better
    expected = "Expected the folder that keras-attn export wrote to, which holds versions named 1, 2, ..."
    if path.is_file():
        raise click.ClickException(f"{path} is a file. {expected}")
    if (path / "saved_model.pb").exists():
        raise click.ClickException(f"{path} is a version itself. {expected} Give {path.parent}.")
    if not (path.is_absolute() and path.is_dir() and any(path.iterdir())):
        return
    versions = list_versions(str(path))
    if not versions:
        raise click.ClickException(f"{path} holds no SavedModel version. {expected}")
    latest = Path(versions[max(versions)])
    if not any(latest.glob("saved_model.*")):
        raise NoSavedModelError(
            f"Could not find SavedModel in {latest}: it has no saved_model.pb. {expected}"
        )
