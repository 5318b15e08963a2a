"""Reads saved tokenizers of any kind."""

import json
from pathlib import Path

from keras_attn.protocols import Tokenizer
from keras_attn.tokenizers.kinds import suffix_of, tokenizer_class, tokenizer_kinds
from keras_attn.typing import StrPath


def load_tokenizer(path: StrPath) -> Tokenizer:
    """Reads a tokenizer from a file, which says its kind.

    Args:
        path: what a tokenizer's `save` wrote, with its suffix: a `.json` file has an entry `kind`, every
            other suffix belongs to one kind, e.g. `.model` to SentencePiece.

    Returns:
        A `keras_attn.protocols.Tokenizer`.

    Raises:
        ValueError: if the file is not a tokenizer, or of a kind that is not registered.
    """
    path = Path(path)
    by_suffix = {suffix_of(tokenizer_class(kind)): kind for kind in tokenizer_kinds()}
    kind = by_suffix.get(path.suffix)
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in tokenizer_kinds():
        suffixes, kinds = " or ".join({*by_suffix} - {".json"}), ", ".join(tokenizer_kinds())
        raise ValueError(
            f"`{path}` is not a tokenizer. Expected a file that ends in {suffixes}, or a `.json` whose kind "
            f"is one of {kinds}. Received: kind {kind!r}. Give a file that `save` of a tokenizer wrote, "
            "or import the module that registers its kind."
        )
    return tokenizer_class(kind).load(path)
