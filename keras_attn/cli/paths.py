"""Folders that a command is to write to, looked at before it works for minutes."""

from pathlib import Path

import click


def check_folder(path, option):
    """Refuses a path that is a file, or leads through one.

    Args:
        path: of the folder, which need not be there.
        option: that named it, e.g. `"--run"`.

    Raises:
        ClickException: if it cannot be a folder.
    """
    path = Path(path)
    for part in (path, *path.parents):
        if part.exists():
            if not part.is_dir():
                raise click.ClickException(f"{part} is a file, expected a folder. Give another {option}.")
            return
