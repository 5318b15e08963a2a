"""Names of the files of saved tokenizers."""

from pathlib import Path

from keras_attn.typing import StrPath


def ending_in(path: StrPath, suffix: str) -> Path:
    """The path with the suffix appended, unless it ends so: `tok.en` and `tok.ko` stay two files."""
    path = Path(path)
    return path if path.suffix == suffix else path.with_name(path.name + suffix)
