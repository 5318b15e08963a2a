"""Writes the `.keras` files that `test_saved_before.py` loads, and their outputs: `ARCHIVE.tar.xz`."""

import sys
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np

from keras_attn import layers, models
from keras_attn.losses import SequenceCrossentropy
from keras_attn.metrics import TokenAccuracy

SIZES = {"embedding_dim": 8, "num_heads": 2, "hidden_dim": 12}
TRANSFORMER = {"num_encoder_layers": 1, "num_decoder_layers": 1, **SIZES}
RECURRENT = {"embedding_dim": 5, "units": 6, "attention_units": 4}
INPUTS = {"source": np.array([[5, 9, 2, 0], [4, 3, 7, 2]]), "target": np.array([[1, 4, 8], [1, 6, 0]])}
LABELS = np.array([[4, 8, 2], [6, 2, 0]])


def made():
    for attention in ("bahdanau", "luong", "luong_local"):
        yield f"recurrent_{attention}", models.RecurrentSeq2Seq(11, 13, attention=attention, **RECURRENT)
    yield (
        "convolutional",
        models.ConvolutionalSeq2Seq(
            11, 13, embedding_dim=6, encoder_convolutions=((6, 3),), decoder_convolutions=((6, 3),)
        ),
    )
    for scheme in ("sinusoidal", "learned", "shaw", "t5", "alibi", "rotary"):
        yield f"transformer_{scheme}", models.TransformerSeq2Seq(11, 13, positions=scheme, **TRANSFORMER)
    yield "language_model", models.TransformerLanguageModel(13, num_layers=1, **SIZES)


def attention_by_hand():
    """A functional model of layers, with the kinds of attention that no model above has."""
    source = keras.Input((4,), dtype="int32", name="source")
    target = keras.Input((3,), dtype="int32", name="target")
    memory = keras.layers.Embedding(11, 6, mask_zero=True)(source)
    queries = keras.layers.Embedding(13, 6, mask_zero=True)(target)
    queries = layers.SinusoidalPositionalEncoding()(queries)
    contexts = [
        layers.BahdanauAttention(6)(queries, memory),
        layers.LuongAttention("general")(queries, memory),
        layers.MultiHeadAttention(2, 6)(queries, memory),
    ]
    for attention in (
        layers.CoverageAttention(4),
        layers.LocationSensitiveAttention(4),
        layers.MonotonicAttention(layers.BahdanauAttention(4)),
        layers.LuongLocalAttention(2),
    ):
        contexts.append(layers.AttentionRNN(keras.layers.GRUCell(6), attention)(queries, memory))
    outputs = keras.layers.Dense(13)(keras.layers.Concatenate()(contexts))
    return keras.Model({"source": source, "target": target}, outputs)


def main(archive):
    keras.utils.set_random_seed(5)
    outputs = {}
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive, "w:xz", preset=9) as files:
        for name, model in [*made(), ("by_hand", attention_by_hand())]:
            model.compile("sgd", SequenceCrossentropy(0.1), metrics=[TokenAccuracy()], run_eagerly=True)
            model.fit(INPUTS, LABELS, verbose=0)
            model.save(f"{folder}/{name}.keras")
            outputs[name] = keras.ops.convert_to_numpy(model(INPUTS))
        np.savez_compressed(f"{folder}/outputs.npz", **outputs)
        for path in sorted(Path(folder).iterdir()):
            files.add(path, path.name)


if __name__ == "__main__":
    main(sys.argv[1])
