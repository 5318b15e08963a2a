"""What the layers' tests share, and which of them run where Keras has another backend than TensorFlow."""

import types
from types import SimpleNamespace

import keras
import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    """Under another backend, skips tests that call TensorFlow by name; under JAX, those of float64 too."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if hasattr(item, "function") and calls_tensorflow(item.function):
            item.add_marker(
                pytest.mark.skip(reason=f"uses TensorFlow directly, and the backend is {backend}")
            )
        elif backend == "jax" and any(isinstance(x, str) and x == "float64" for x in parameters.values()):
            item.add_marker(pytest.mark.skip(reason="JAX has no float64 by default"))


def calls_tensorflow(function):
    """Whether a test imports TensorFlow, or it or what it calls of its module names the module's `tf`."""
    waiting, seen = [function.__code__], set()
    if "tensorflow" in function.__code__.co_names:
        return True
    while waiting:
        code = waiting.pop()
        if "tf" in code.co_names:
            return True
        seen.add(code)
        called = (function.__globals__.get(name) for name in code.co_names)
        inner = [x.__code__ for x in called if isinstance(x, types.FunctionType)]
        inner += [x for x in code.co_consts if isinstance(x, types.CodeType)]
        waiting += [x for x in inner if x not in seen and x.co_filename == code.co_filename]
    return False


@pytest.fixture
def torch_copies():
    """Copies weights of our layers into those of PyTorch: of one layer, or of a whole attention."""
    return SimpleNamespace(weights=copy_weights, attention=copy_attention)


def copy_weights(theirs, ours):
    """A dense layer's, or a normalisation's."""
    import torch

    weight, bias = (torch.from_numpy(x.T.copy()) for x in ours.get_weights())
    with torch.no_grad():
        theirs.weight.copy_(weight)
        theirs.bias.copy_(bias)


def copy_attention(theirs, ours):
    """Those of `keras_attn.layers.MultiHeadAttention` into `torch.nn.MultiheadAttention`."""
    import torch

    projections = [ours.query_projection, ours.key_projection, ours.value_projection]
    kernels, biases = zip(*(projection.get_weights() for projection in projections), strict=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.from_numpy(np.concatenate(kernels, axis=-1).T.copy()))
        theirs.in_proj_bias.copy_(torch.from_numpy(np.concatenate(biases)))
    copy_weights(theirs.out_proj, ours.output_projection)
