"""KerasHub's Transformer layers in a functional model; their dropout is on the attention weights too."""

import keras
import keras_hub
from timing import (
    CLIP_NORM,
    EPSILON,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    SIZES,
    VOCABULARY,
    cell,
    limit_threads,
    report_fit,
)


def main(cell):
    limit_threads(cell)
    keras.utils.set_random_seed(7)
    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[cell.dtype])
    model = transformer(cell.size)
    adam = keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=CLIP_NORM)
    model.compile(adam, crossentropy, jit_compile=cell.kind == "xla")
    report_fit(cell, model)


def transformer(size):
    settings, layers = SIZES[size], keras_hub.layers
    width, dropout = settings["embedding_dim"], keras.layers.Dropout(settings["dropout"])
    source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    tables = [layers.ReversibleEmbedding(VOCABULARY, width) for _ in range(2)]
    of_a_layer = {
        "intermediate_dim": settings["hidden_dim"],
        "num_heads": settings["num_heads"],
        "dropout": settings["dropout"],
        "layer_norm_epsilon": EPSILON,
    }

    def embed(table, ids):
        rows = table(ids) * width**0.5
        return dropout(rows + layers.SinePositionEncoding()(rows))

    padding = keras.ops.not_equal(source, 0)
    memory = embed(tables[0], source)
    for _ in range(settings["num_encoder_layers"]):
        memory = layers.TransformerEncoder(**of_a_layer)(memory, padding_mask=padding)
    hidden = embed(tables[1], target)
    for _ in range(settings["num_decoder_layers"]):
        hidden = layers.TransformerDecoder(**of_a_layer)(hidden, memory, encoder_padding_mask=padding)
    return keras.Model({"source": source, "target": target}, tables[1](hidden, reverse=True))


def crossentropy(labels, logits):
    """Keras' own with label smoothing, which wants a one-hot of the vocabulary; per token that is no pad."""
    keep = keras.ops.cast(keras.ops.not_equal(labels, 0), "float32")
    losses = keras.losses.categorical_crossentropy(
        keras.ops.one_hot(labels, VOCABULARY),
        keras.ops.cast(logits, "float32"),
        from_logits=True,
        label_smoothing=LABEL_SMOOTHING,
    )
    return keras.ops.sum(losses * keep) / keras.ops.sum(keep)


main(cell())
