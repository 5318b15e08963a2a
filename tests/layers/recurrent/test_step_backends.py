"""The step attentions and the RNN around them: the same numbers on every Keras backend."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest

# Seeded by NumPy alone, so that every backend has the same weights and inputs.
SCRIPT = """
import os, sys
os.environ["KERAS_BACKEND"] = sys.argv[1]
import keras
import numpy as np
from keras_attn import layers as L

assert keras.backend.backend() == sys.argv[1]
rng = np.random.default_rng(3)
query, value = rng.normal(size=(2, 3, 7)).astype("float32"), rng.normal(size=(2, 5, 11)).astype("float32")
mask = np.array([[True, True, True, False, False], [True] * 5])
attentions = {
    "normalised": lambda: L.BahdanauAttention(13, normalize=True),
    "general": lambda: L.LuongAttention("general", scale=True),
    "coverage": lambda: L.CoverageAttention(13, fertility=2.0),
    "location": lambda: L.LocationSensitiveAttention(13, 3, 5),
    "local_p": lambda: L.LuongLocalAttention(2),
    "local_m": lambda: L.LuongLocalAttention(2, alignment="monotonic"),
    "parallel": lambda: L.MonotonicAttention(L.BahdanauAttention(13)),
    "recursive": lambda: L.MonotonicAttention(L.BahdanauAttention(13), "recursive"),
    "hard": lambda: L.MonotonicAttention(L.BahdanauAttention(13), "hard"),
}

def filled(layer):
    rng = np.random.default_rng(5)
    for weight in layer.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return layer

outputs = {}
for name, make in attentions.items():
    layer = make()
    layer.build(query.shape, value.shape)
    outputs[name] = filled(layer)(query, value, value_mask=mask)
    cell = keras.layers.LSTMCell(17)
    rnn = L.AttentionRNN(cell, make(), order="luong", input_feeding=True, attention_units=19)
    rnn.build(query.shape, value.shape)
    outputs[f"{name}_rnn"] = filled(rnn)(query, value, memory_mask=mask)
entries = keras.Input((3, 7)), keras.Input((5, 11))
model = keras.Model(entries, rnn(*entries))
model.compile("sgd", "mse")
loss = model.fit([query, value], np.ones((2, 3, 19)), verbose=0).history["loss"][0]
outputs["loss"] = np.array(loss)
np.savez(sys.argv[2], **{name: keras.ops.convert_to_numpy(x) for name, x in outputs.items()})
"""


@pytest.fixture
def here(monkeypatch, tmp_path):
    """The numbers of this process's backend."""
    monkeypatch.setenv("KERAS_BACKEND", keras.backend.backend())
    monkeypatch.setattr("sys.argv", ["", keras.backend.backend(), str(tmp_path / "here.npz")])
    exec(SCRIPT, {})
    with np.load(tmp_path / "here.npz") as numbers:
        yield numbers


@pytest.mark.exhaustive
@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.backend.backend()}))
def test_the_same_numbers_as_on_another_backend(run_python, here, tmp_path, backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run_python("import warnings; warnings.simplefilter('default')" + SCRIPT, backend, tmp_path / "there.npz")
    with np.load(tmp_path / "there.npz") as there:
        assert sorted(here.files) == sorted(there.files)
        for name in here.files:
            np.testing.assert_allclose(there[name], here[name], rtol=1e-4, atol=1e-5, err_msg=name)
