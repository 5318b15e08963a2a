"""Trains a tiny model and writes its history: `one FOLDER`, or `mirrored FOLDER` on two logical CPUs."""

import json
import sys
from pathlib import Path

import numpy as np

V = 17


def main(kind, folder):
    if kind == "mirrored":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    history, model = train(kind)
    model.save(folder / f"{kind}.keras")
    (folder / f"{kind}.json").write_text(json.dumps(history))


def train(kind):
    import keras

    from keras_attn.losses import SequenceCrossentropy
    from keras_attn.metrics import Perplexity
    from keras_attn.models import TransformerSeq2Seq
    from keras_attn.training.batches.batches import Batches
    from keras_attn.training.distribution.devices import device_scope, loss_weight
    from keras_attn.training.from_recipe.optimizer import WatchedAdam

    keras.utils.set_random_seed(3)
    ids = [np.random.default_rng(index).integers(4, V, 5) for index in range(22)]
    batches = Batches(ids, ids, 8, seed=5)
    with device_scope("all" if kind == "mirrored" else "one"):
        model = TransformerSeq2Seq(
            V,
            V,
            num_encoder_layers=1,
            num_decoder_layers=1,
            embedding_dim=8,
            num_heads=2,
            hidden_dim=11,
            dropout=0.0,
        )
        optimizer = WatchedAdam(0.01)  # each device clips its own gradient, so that clipping would differ
        options = {"metrics": [Perplexity()], "loss_weights": loss_weight(), "jit_compile": False}
        model.compile(optimizer, SequenceCrossentropy(0.1), **options)
    done = model.fit(batches.dataset(), validation_data=batches.dataset(), epochs=2, shuffle=False, verbose=0)
    return done.history, model


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
