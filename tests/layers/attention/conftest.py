import pytest

from .multi_head import K_DIM, Q_DIM, V_DIM, B, S, T


@pytest.fixture
def inputs(rng):
    shapes = {"query": (B, T, Q_DIM), "value": (B, S, V_DIM), "key": (B, S, K_DIM)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


@pytest.fixture
def masks(rng):
    masks = {"query_mask": (B, T), "value_mask": (B, S), "key_mask": (B, S)}
    return {name: rng.random(shape) < 0.8 for name, shape in masks.items()}
