"""Names of the files that tokenizers are kept in."""

from pathlib import Path


def ending_in(path, suffix):
    """The path with the suffix behind its name, unless it ends so: `tok.en` and `tok.ko` stay two files."""
    path = Path(path)
    return path if path.suffix == suffix else path.with_name(path.name + suffix)
