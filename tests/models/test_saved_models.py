"""Models that are saved on TensorFlow load on JAX, compute the same and train there."""

import numpy as np
import pytest

from keras_attn.models import (
    ConvolutionalSeq2Seq,
    RecurrentSeq2Seq,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)

V = 23
INPUTS = {
    "source": np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32),
    "target": np.array([[1, 7, 7, 19], [1, 10, 3, 3], [1, 21, 4, 0]], np.int32),
}
LUONG = {
    "attention": "luong",
    "cell": "lstm",
    "input_feeding": True,
    "attention_vector_units": 5,
    "num_decoder_layers": 2,
}
CONVOLUTIONS = {
    "encoder_convolutions": [(7, 3), (11, 2)],
    "decoder_convolutions": [(7, 3), (13, 1), (13, 4)],
    "decoder_attention": [True, False, True],
    "output_dim": 3,
    "weight_normalization": True,
}
BLOCKS = {"embedding_dim": 12, "num_heads": 3, "hidden_dim": 17, "dropout": 0.0}
MODELS = {
    "without_attention": lambda: RecurrentSeq2Seq(V, V, embedding_dim=5, units=7, attention=None),
    "luong": lambda: RecurrentSeq2Seq(
        V, V, embedding_dim=5, units=7, attention_units=3, residual=True, **LUONG
    ),
    "convolutional": lambda: ConvolutionalSeq2Seq(19, V, embedding_dim=5, **CONVOLUTIONS),
    "transformer": lambda: TransformerSeq2Seq(
        V,
        V,
        num_encoder_layers=2,
        num_decoder_layers=1,
        **BLOCKS,
        positions="t5",
        share_embeddings="all",
        norm_first=True,
    ),
    "language_model": lambda: TransformerLanguageModel(V, num_layers=1, **BLOCKS, positions="learned"),
}

PREDICT_AND_TRAIN = """
import sys
import keras, numpy as np
import keras_attn.models
folder, *kinds = sys.argv[1:]
assert keras.backend.backend() == "jax"
inputs = dict(np.load(folder + "/inputs.npz"))
def load(kind):
    return keras.models.load_model(f"{folder}/{kind}.keras", compile=False)
for kind in kinds:
    # JAX compiles the model as a whole faster than each of its operations.
    np.save(f"{folder}/{kind}.npy", load(kind).predict_on_batch(inputs))
from keras_attn.losses import SequenceCrossentropy
from keras_attn.models import ScheduledSampling, TeacherForcingSchedule
modes = {
    "luong": "sequential", "without_attention": "sequential", "convolutional": "parallel",
    "language_model": None,
}
cross_entropy, labels = SequenceCrossentropy(), inputs["target"]
for kind, mode in modes.items():
    inner = model = load(kind)
    def loss():  # by what is compiled anyway; what training shows depends on what it has drawn
        return float(cross_entropy(labels, inner.predict_on_batch(inputs)))
    if mode is not None:
        model = ScheduledSampling(model, TeacherForcingSchedule("linear", k=1.0, slope=0.4), mode=mode)
    model.compile(keras.optimizers.Adam(0.01), SequenceCrossentropy())
    before = loss()
    model.fit(inputs, labels, epochs=12, verbose=0, shuffle=False)
    print(kind, 12 if mode is None else int(model.steps), loss() < 0.9 * before)
"""


def made(kind):
    """A model with random weights."""
    model, rng = MODELS[kind](), np.random.default_rng(7)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape) + (weight.name == "gamma"))
    return model


@pytest.mark.exhaustive
def test_the_same_on_jax_and_trains_there(tmp_path, run_python, monkeypatch):
    pytest.importorskip("jax", reason="JAX is another backend of Keras")
    logits = {}
    for kind in MODELS:
        model = made(kind)
        model.save(tmp_path / f"{kind}.keras")
        logits[kind] = model(INPUTS).numpy()
    np.savez(tmp_path / "inputs.npz", **INPUTS)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    lines = run_python(PREDICT_AND_TRAIN, tmp_path, *MODELS).splitlines()
    trained = ("luong", "without_attention", "convolutional", "language_model")
    assert lines == [f"{kind} 12 True" for kind in trained]
    for kind in MODELS:
        there = np.load(tmp_path / f"{kind}.npy")
        np.testing.assert_allclose(there, logits[kind], rtol=1e-4, atol=2e-5, err_msg=kind)
