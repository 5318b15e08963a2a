"""Recurrent and convolutional models saved on TensorFlow give the same on JAX, and train there."""

import numpy as np
import pytest

from keras_attn.models import ConvolutionalSeq2Seq, RecurrentSeq2Seq

V = 23
INPUTS = {
    "source": np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32),
    "target": np.array([[1, 7, 7, 19], [1, 10, 3, 3], [1, 21, 4, 0]], np.int32),
}
LUONG = {"attention": "luong", "cell": "lstm", "input_feeding": True, "attention_vector_units": 5}
MODELS = {
    "recurrent": lambda: RecurrentSeq2Seq(V, V, 5, 7, 3, num_decoder_layers=2, residual=True, **LUONG),
    "without_attention": lambda: RecurrentSeq2Seq(V, V, 5, 7, attention=None),
    "convolutional": lambda: ConvolutionalSeq2Seq(V, V, 5, [(7, 3)], [(7, 3)], weight_normalization=True),
}

ON_JAX = """
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
import keras, numpy as np
from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import ScheduledSampling, TeacherForcingSchedule
folder, *kinds = sys.argv[1:]
inputs = dict(np.load(folder + "/inputs.npz"))
for kind in kinds:
    model = keras.models.load_model(f"{folder}/{kind}.keras", compile=False)
    np.save(f"{folder}/{kind}.npy", np.asarray(model(inputs)))
    mode = "parallel" if kind == "convolutional" else "sequential"
    wrapper = ScheduledSampling(model, TeacherForcingSchedule("linear", 1.0, 0.4), mode)
    wrapper.compile(keras.optimizers.Adam(0.01), SequenceCrossentropy())
    losses = wrapper.fit(inputs, inputs["target"], epochs=3, verbose=0, shuffle=False).history["loss"]
    print(kind, keras.backend.backend(), int(wrapper.steps), losses[-1] < losses[0])
"""


def test_models_on_jax(rng, run_python, tmp_path):
    pytest.importorskip("jax", reason="JAX is another backend of Keras")
    np.savez(tmp_path / "inputs.npz", **INPUTS)
    expected = {}
    for kind, make in MODELS.items():
        model = make()
        model.save(tmp_path / f"{kind}.keras")
        expected[kind] = model(INPUTS).numpy()
    lines = run_python(ON_JAX, tmp_path, *MODELS).splitlines()
    assert lines == [f"{kind} jax 3 True" for kind in MODELS]
    for kind, logits in expected.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{kind}.npy"), logits, rtol=1e-4, atol=1e-5)
