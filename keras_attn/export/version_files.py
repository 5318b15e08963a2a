"""Files of a version that describe it, read without TensorFlow."""

import json
from pathlib import Path
from typing import Any

from keras_attn.errors import UserError
from keras_attn.typing import StrPath

EXTRA_PATH = Path("assets.extra") / "keras_attn"
MANIFEST_PATH = EXTRA_PATH / "manifest.json"
# Where a server with `--enable_per_model_batching_parameters` looks; others are given the path.
BATCHING_PATH = Path("batching_params.pbtxt")


class NotAnExportError(UserError):
    """A folder that holds no export of this library."""


def version_folder(path: StrPath) -> Path:
    """Finds a version.

    Args:
        path: a version folder, or a base path.

    Returns:
        The path of the version itself, or of the highest one in the base path.

    Raises:
        NotAnExportError: for a folder with neither a SavedModel nor versions.
    """
    path = Path(path)
    if (path / "saved_model.pb").exists():
        return path
    folders = path.iterdir() if path.is_dir() else ()
    versions = [child for child in folders if child.name.isdecimal() and child.is_dir()]
    if not versions:
        raise NotAnExportError(
            f"{path} holds no SavedModel. Expected a version folder with saved_model.pb, or a base path with "
            "versions. Give the path that `keras-attn export` or `export_saved_model` has written."
        )
    return max(versions, key=lambda child: int(child.name))


def read_manifest(folder: StrPath) -> dict[str, Any]:
    """Reads the manifest of an export.

    Args:
        folder: of the version.

    Returns:
        A dictionary; see `keras_attn.export.manifest.make_manifest`.

    Raises:
        NotAnExportError: where there is no manifest, because another program wrote the SavedModel.
    """
    path = Path(folder) / MANIFEST_PATH
    if not path.exists():
        raise NotAnExportError(
            f"{folder} has no manifest, so that its signatures are not known. Expected an export of this "
            "version of keras-attn. Export the model again."
        )
    return json.loads(path.read_text(encoding="utf-8"))
