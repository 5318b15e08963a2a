"""Saved tokenizers of any kind, read again."""

import json
from pathlib import Path

from keras_attn.tokenizers.bytes import ByteTokenizer
from keras_attn.tokenizers.characters import CharacterTokenizer
from keras_attn.tokenizers.sentencepiece import SentencePieceTokenizer
from keras_attn.tokenizers.words import WordTokenizer

_OF_JSON = {kind.kind: kind for kind in (CharacterTokenizer, WordTokenizer, ByteTokenizer)}


def load_tokenizer(path):
    """The tokenizer that a file holds, which says itself of which kind it is.

    Args:
        path: what a tokenizer's `save` wrote, with its suffix: `.model` is SentencePiece, `.json` names its
            kind.

    Returns:
        A `keras_attn.protocols.Tokenizer`.

    Raises:
        ValueError: if the file is none of them.
    """
    path = Path(path)
    if path.suffix == ".model":
        return SentencePieceTokenizer.load(path)
    kind = None
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in _OF_JSON:
        raise ValueError(
            f"`{path}` is no tokenizer. Expected a `.model` of SentencePiece, or a `.json` whose kind is one "
            f"of {', '.join(_OF_JSON)}. Received: kind {kind!r}. Give a file that a tokenizer's `save` wrote."
        )
    return _OF_JSON[kind].load(path)
