"""Examples in docstrings run and give what they say; every layer has one."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import pytest

import keras_attn
import keras_attn.layers
import keras_attn.serving
import keras_attn.training

PACKAGES = (keras_attn, keras_attn.training, keras_attn.serving)
MODULES = sorted(
    {
        module.name
        for package in PACKAGES
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith("__main__")
    }
)
PUBLIC = [getattr(keras_attn.layers, name) for name in keras_attn.layers.__all__]
LAYERS = [layer for layer in PUBLIC if not issubclass(layer, keras_attn.layers.RelativePositions)]
SCHEMES = [layer for layer in PUBLIC if layer not in [*LAYERS, keras_attn.layers.RelativePositions]]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    outcome = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert outcome.failed == 0


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.__name__)
def test_layers_are_documented_in_full(layer):
    assert issubclass(layer, keras.layers.Layer)
    text = inspect.getdoc(layer)
    for part in ("Args:", "Call arguments:", "Returns:", ">>> ", "Reference:", "```"):
        assert part in text


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.__name__)
def test_relative_positions_are_documented_in_full(scheme):
    text = inspect.getdoc(scheme)
    for part in ("Args:", ">>> ", "Reference:", "```"):
        assert part in text
