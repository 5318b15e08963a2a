"""The table of tokenizers by kind. It names classes without importing them: a recipe needs no TensorFlow."""

import importlib
from typing import Any, TypeVar

# Kind: the module in this folder and the class.
BUILT_IN = {
    "sentencepiece": ("sentencepiece", "SentencePieceTokenizer"),
    "characters": ("characters", "CharacterTokenizer"),
    "words": ("words", "WordTokenizer"),
    "bytes": ("bytes", "ByteTokenizer"),
}
_METHODS = ("train", "encode", "decode", "pieces", "save", "load")
_registered: dict[str, type[Any]] = {}
_Class = TypeVar("_Class", bound=type[Any])


def register_tokenizer(tokenizer: _Class) -> _Class:
    """Registers a tokenizer class of your own, as a decorator, for recipes and `load_tokenizer`.

    Args:
        tokenizer: a class of `keras_attn.protocols.Tokenizer` objects that also has

            - `kind`, the string that `tokenizer.kind` of a recipe names. A second class of the same kind
              replaces the first.
            - `train(lines, **options)`, a class method. `lines` is a list of strings; each option is a
              parameter named as a key of the recipe's `[tokenizer]`, e.g. `vocabulary_size`, and only
              parameters that the method has are passed.
            - `save(path)`, which writes one file named `path` with `suffix` appended, and `load(path)`, a
              class method that reads it.
            - `suffix` of that file. Where it is ".json", the default, the file is a JSON object with an entry
              `kind`.

    Returns:
        The class.

    Raises:
        TypeError: if the class lacks `kind` or one of the methods.
        ValueError: for the kind or the suffix of a built-in tokenizer.

    Example:

        @register_tokenizer
        class SyllableTokenizer(tf.Module):
            kind = "syllables"
            ...
    """
    missing = [name for name in ("kind", *_METHODS) if not hasattr(tokenizer, name)]
    if missing:
        raise TypeError(
            f"{tokenizer.__name__} is not a tokenizer. Expected `kind` and the methods "
            f"{', '.join(_METHODS)}. Missing: {', '.join(missing)}."
        )
    kind = tokenizer.kind
    if kind in BUILT_IN or suffix_of(tokenizer) == ".model":
        raise ValueError(
            f"The kinds {', '.join(BUILT_IN)} and the suffix .model are built in. Expected others. Received: "
            f"kind={kind!r}, suffix={suffix_of(tokenizer)!r}."
        )
    _registered[kind] = tokenizer
    return tokenizer


def tokenizer_kinds() -> tuple[str, ...]:
    """The kinds that a recipe can name, registered ones last."""
    return (*BUILT_IN, *_registered)


def tokenizer_class(kind: str) -> type[Any]:
    """The class of a kind.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind in _registered:
        return _registered[kind]
    if kind not in BUILT_IN:
        raise ValueError(
            f"`kind` is unknown. Expected one of {', '.join(tokenizer_kinds())}. Received: {kind!r}. Import "
            "the module that registers it."
        )
    module, name = BUILT_IN[kind]
    return getattr(importlib.import_module(f"keras_attn.tokenizers.{module}"), name)


def suffix_of(tokenizer: Any) -> str:
    """The suffix of the files that a tokenizer, or its class, saves."""
    return getattr(tokenizer, "suffix", ".json")
