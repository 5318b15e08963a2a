"""Writes the models of `decoding_speed.py`: FOLDER SIZE BEAM KIND...

A kind is `ctranslate2`, `model`, `no_cache`, `packed-float32` or `packed-bfloat16`.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from timing import NEW_TOKENS, SIZES, START, VOCABULARY

from keras_attn.decoding import BeamSearch, Greedy, decode
from keras_attn.export.ctranslate2 import to_ctranslate2
from keras_attn.export.packed.transformer import PackedTransformer
from keras_attn.export.verification.servable_ops import check_ops
from keras_attn.models import TransformerSeq2Seq
from keras_attn.protocols import Step

NO_END = -1  # an id that no token has, so that nothing ends


class NoCache:
    """The model without `step`: runs the whole target anew for every token, as tutorials do."""

    def __init__(self, model):
        self.model = model

    def start(self, source):
        """The source is the memory; the state is what has been written, `[B, 1, t]`."""
        return ops.zeros((ops.shape(source)[0], 1, 0, 1), "int32"), source

    def step(self, tokens, position, state, memory):
        """The last place of the whole target."""
        batch, live = ops.shape(tokens)
        state = ops.concatenate([state, tokens[:, :, None, None]], axis=2)  # [B, K, t + 1, 1]
        target = ops.reshape(state, (-1, position + 1))
        source = ops.repeat(memory, live, axis=0)
        logits = self.model({"source": source, "target": target})[:, -1]
        return Step(ops.reshape(logits, (batch, live, -1)), state, ops.zeros((batch, live, 0)))


def main(folder, size, beam, *kinds):
    """Writes each kind into FOLDER/KIND-SIZE-BEAM."""
    model = random_model(size)
    for kind in kinds:
        path = Path(folder) / f"{kind}-{size}-{beam}"
        if kind == "ctranslate2":
            words = ["<pad>", "<s>", "</s>", "<unk>"] + [f"w{i}" for i in range(4, VOCABULARY[size])]
            to_ctranslate2(model, words, words, path)
        else:
            write_saved_model(decoder(model, kind), model, int(beam), str(path), kind)


def random_model(size):
    """Random everywhere, biases and gains too: TensorFlow leaves out what changes nothing."""
    keras.utils.set_random_seed(7)
    model = TransformerSeq2Seq(VOCABULARY[size], VOCABULARY[size], dropout=0.0, **SIZES[size])
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if weight.path.endswith(("bias", "beta", "gamma")):
            weight.assign(rng.normal(weight.path.endswith("gamma"), 0.1, weight.shape))
    return model


def decoder(model, kind):
    if kind.startswith("packed"):
        return PackedTransformer(model, kind.removeprefix("packed-"))
    return NoCache(model) if kind == "no_cache" else model


def write_saved_model(decoder, model, beam, path, kind):
    strategy = BeamSearch(beam) if beam > 1 else Greedy()

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, name="source")], autograph=False)
    def run(source):
        decoded = decode(
            decoder, source, start_id=START, end_id=NO_END, max_length=NEW_TOKENS, strategy=strategy
        )
        return {"tokens": decoded.tokens, "scores": decoded.scores}

    module = tf.Module()
    module.weights = [] if kind.startswith("packed") else [weight.value for weight in model.weights]
    tf.saved_model.save(module, path, signatures=run.get_concrete_function())
    check_ops(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
