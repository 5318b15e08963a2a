"""The files of a version that tell of it, read without TensorFlow."""

import json
from pathlib import Path

EXTRA_PATH = Path("assets.extra") / "keras_attn"
MANIFEST_PATH = EXTRA_PATH / "manifest.json"
# Where a server with `--enable_per_model_batching_parameters` looks; others are given the path.
BATCHING_PATH = Path("batching_params.pbtxt")


def read_manifest(folder):
    """The manifest of an export, or None where there is none: another program wrote it."""
    path = Path(folder) / MANIFEST_PATH
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
