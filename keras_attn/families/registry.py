"""The families of models, by the `kind` that a recipe or a preset gives."""

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from keras_attn.families.arguments import Argument, arguments_of_class, arguments_of_source

_Model = TypeVar("_Model", bound=type)

# Paths instead of classes: a recipe is read before Keras is loaded, which takes seconds.
_FAMILIES: dict[str, Any] = {
    "recurrent": "keras_attn.models.recurrent.RecurrentSeq2Seq",
    "convolutional": "keras_attn.models.convolutional.ConvolutionalSeq2Seq",
    "transformer": "keras_attn.models.transformer.TransformerSeq2Seq",
    "language_model": "keras_attn.models.language_model.TransformerLanguageModel",
}
_VOCABULARIES = (("source_vocabulary_size", "target_vocabulary_size"), ("vocabulary_size",))


def register_family(kind: str) -> Callable[[_Model], _Model]:
    """Registers a class of models under a name, so that a recipe with this `model.kind` trains one.

    The recipe's `[model]` section takes the keyword-only arguments of the constructor, with their defaults.
    Annotations limit the values: `int`, `float`, `str`, `bool`, sequences, mappings, `Literal` choices and
    the `Annotated` types of `keras_attn.typing`; a recipe has no values of other types.

    Args:
        kind: the name. A class of the same name that is defined again replaces the first one.

    Returns:
        A decorator of a `keras_attn.models.Seq2SeqModel`.

    Raises:
        ValueError: for a name that another class has, or a constructor whose positional arguments are not the
            sizes of the vocabularies.

    Example:

    >>> from keras_attn.models import TransformerSeq2Seq, register_family
    >>> @register_family("my_transformer")
    ... class MyTransformer(TransformerSeq2Seq):
    ...     pass
    """

    def register(family: _Model) -> _Model:
        known = _FAMILIES.get(kind, family)
        path = known if isinstance(known, str) else _path(known)
        if path != _path(family):
            raise ValueError(
                f"The family {kind!r} is registered already, as {path}. Expected a new name. "
                f"Received: {kind!r} for {_path(family)}."
            )
        names = tuple(argument.name for argument in arguments_of_class(family) if argument.positional)
        if names not in _VOCABULARIES:
            raise ValueError(
                f"`{family.__name__}` must take the sizes of its vocabularies, then keyword-only arguments. "
                f"Expected positional arguments {' or '.join(map(str, _VOCABULARIES))}. Received: {names}."
            )
        _FAMILIES[kind] = family
        return family

    return register


def family_kinds() -> tuple[str, ...]:
    """The names of all families, in the order of registration."""
    return tuple(_FAMILIES)


def family_class(kind: str) -> Any:
    """The class of a family. Loads Keras.

    Args:
        kind: one of `family_kinds()`.

    Returns:
        A subclass of `keras_attn.models.Seq2SeqModel`.
    """
    family = _FAMILIES[kind]
    if not isinstance(family, str):
        return family
    module, _, name = family.rpartition(".")
    return getattr(importlib.import_module(module), name)


def family_arguments(kind: str) -> tuple[Argument, ...]:
    """The arguments of a family's constructor, without loading Keras.

    Args:
        kind: one of `family_kinds()`.

    Returns:
        The arguments in the order of the signature, without `self` and `**kwargs`.
    """
    family = _FAMILIES[kind]
    return arguments_of_source(family) if isinstance(family, str) else arguments_of_class(family)


def _path(family: type) -> str:
    return f"{family.__module__}.{family.__qualname__}"
