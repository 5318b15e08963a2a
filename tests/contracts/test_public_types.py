"""Public functions, methods and classes have annotated parameters and returns; mypy checks the rest."""

import importlib
import inspect

import pytest

PACKAGES = (
    "keras_attn",
    "keras_attn.decoding",
    "keras_attn.export",
    "keras_attn.layers",
    "keras_attn.models",
    "keras_attn.ops",
    "keras_attn.serving",
    "keras_attn.tokenizers",
    "keras_attn.training",
    "keras_attn.visualize",
)
# Modules of public functions without a list of names.
MODULES = (
    "keras_attn.checks.attention_inputs",
    "keras_attn.checks.lost_masks",
    "keras_attn.checks.padding_invariance",
    "keras_attn.checks.sizes",
    "keras_attn.losses",
    "keras_attn.metrics",
)


def public_objects():
    """The functions and classes by their names, each once."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            found.setdefault(getattr(module, name), f"{package}.{name}")
    for name in MODULES:
        module = importlib.import_module(name)
        for member, value in vars(module).items():
            if not member.startswith("_") and getattr(value, "__module__", None) == name:
                found.setdefault(value, f"{name}.{member}")
    return {
        name: value for value, name in found.items() if inspect.isclass(value) or inspect.isroutine(value)
    }


OBJECTS = public_objects()


def functions_of(value):
    """A function itself; the constructor, `__call__` and public methods of a class, inherited ones too."""
    if not inspect.isclass(value):
        yield value.__qualname__, value
        return
    for kind in value.__mro__:
        if kind.__module__.partition(".")[0] == "keras_attn":
            for name, member in vars(kind).items():
                public = not name.startswith("_") or name in ("__init__", "__call__")
                member = getattr(member, "__func__", getattr(member, "fget", member))
                if public and inspect.isfunction(member) and member.__module__.startswith("keras_attn"):
                    yield member.__qualname__, member


def lacking(function):
    """Parameters without an annotation, and `return`."""
    signature = inspect.signature(function)
    bare = [
        name for name, parameter in signature.parameters.items() if parameter.annotation is parameter.empty
    ]
    bare = [name for name in bare if name not in ("self", "cls")]
    untold = signature.return_annotation is signature.empty and function.__name__ != "__init__"
    return bare + ["return"] * untold


@pytest.mark.parametrize("name", OBJECTS)
def test_everything_public_is_annotated(name):
    bare = {path: found for path, function in functions_of(OBJECTS[name]) if (found := lacking(function))}
    assert bare == {}


def test_the_lists_of_public_names_are_read():
    assert {"keras_attn.layers.MultiHeadAttention", "keras_attn.losses.coverage_loss"} <= set(OBJECTS)
    assert len(OBJECTS) > 60
