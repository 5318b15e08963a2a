"""A mask that got lost on its way to a layer is an error that says where; one that never was, is none."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.checks.lost_masks import find_lost_mask
from keras_attn.layers import (
    BahdanauAttention,
    GatedConvolution,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)

D = 6
DROPPED = {
    "multiply": lambda x: x * 2.0,
    "multiply_twice": lambda x: (x * 2.0) * 3.0,
    "add": lambda x: x + ops.ones((1, 1, D)),
    "add_two": lambda x: ops.add(x, x),
    "relu": ops.relu,
    "then_dense": lambda x: keras.layers.Dense(D)(x * 2.0),
    "then_attention": lambda x: BahdanauAttention(5)(x * 2.0, keras.Input((None, D))),
}
KEPT = {
    "nothing": lambda x: x,
    "rescaling": keras.layers.Rescaling(2.0),
    "dense": keras.layers.Dense(D),
    "dropout": keras.layers.Dropout(0.1),
    "normalisation": keras.layers.LayerNormalization(),
    "sum": lambda x: keras.layers.Add()([x, x]),
}
NEVER = {
    # What a pooling makes is another sequence, of one place; so is what attention makes.
    "pooled": lambda x: keras.layers.GlobalAveragePooling1D(keepdims=True)(x) * 2.0,
    "pooled_after": lambda x: keras.layers.GlobalAveragePooling1D(keepdims=True)(x * 2.0),
    "asked_for": lambda x: BahdanauAttention(5)(keras.Input((None, D)), x),
    "attended": lambda x: ops.matmul(
        ops.softmax(ops.matmul(keras.Input((None, D)), ops.swapaxes(x, 1, 2))), x
    ),
}


@pytest.fixture
def embedded():
    return keras.layers.Embedding(7, D, mask_zero=True)(keras.Input((None,), dtype="int32"))


@pytest.mark.parametrize("kind", DROPPED)
def test_finds_where_a_mask_got_lost(embedded, kind):
    loser = find_lost_mask(DROPPED[kind](embedded))
    assert type(loser).__name__ == {"relu": "Relu", "add": "Add", "add_two": "Add"}.get(kind, "Multiply")


@pytest.mark.filterwarnings("ignore:Layer 'conv:UserWarning")  # of Keras, that the mask is destroyed
def test_finds_a_layer_that_dropped_it(embedded):
    convolution = keras.layers.Conv1D(D, 3, padding="same", name="conv")
    assert find_lost_mask(convolution(embedded)) is convolution


@pytest.mark.parametrize("kind", [*KEPT, *NEVER])
def test_finds_nothing_where_the_mask_is_there_or_never_was(embedded, kind):
    assert find_lost_mask((KEPT | NEVER)[kind](embedded)) is None


def test_finds_nothing_without_a_history():
    assert find_lost_mask(keras.Input((None, D)) * 2.0) is None
    assert find_lost_mask(keras.KerasTensor((None, 5, D))) is None
    assert find_lost_mask(np.zeros((2, 5, D))) is None


LAYERS = {
    "inputs_mask": lambda x, **masks: TransformerEncoderBlock(2, 7, name="block")(x, **masks),
    "memory_mask": lambda x, **masks: TransformerDecoderBlock(2, 7, name="block")(
        keras.Input((None, D)), x, **masks
    ),
    "mask": lambda x, **masks: GatedConvolution(7, 3, name="block")(x, **masks),
}


@pytest.mark.parametrize("argument", LAYERS)
def test_layers_refuse_inputs_whose_mask_got_lost(embedded, argument):
    message = (
        rf"layer 'block' got lost at 'multiply.*\(Multiply\).*Received: {argument}=None. Pass `{argument}=`"
    )
    with pytest.raises(ValueError, match=message):
        LAYERS[argument](embedded * 2.0)


@pytest.mark.parametrize("argument", LAYERS)
def test_each_cure_that_the_error_names(embedded, argument):
    call = LAYERS[argument]
    ids = keras.Input((None,), dtype="int32")
    call(embedded * 2.0, **{argument: ops.not_equal(ids, 0)})
    call(embedded * 2.0, **{argument: ops.ones_like(ids, dtype="bool")})
    call(keras.layers.Rescaling(2.0)(embedded))
    call(keras.layers.Add()([embedded, embedded]))


def test_where_padding_cannot_be_seen_nothing_is_asked():
    """Behind a causal mask, places at the end are out of sight."""
    ids = keras.Input((None,), dtype="int32")
    scaled = keras.layers.Embedding(7, D, mask_zero=True)(ids) * 2.0
    outputs = (
        TransformerEncoderBlock(2, 7)(scaled, use_causal_mask=True),
        GatedConvolution(D, 3, padding="causal")(scaled),
        TransformerEncoderBlock(2, 7)(scaled, attention_mask=ops.ones_like(ids, dtype="bool")[:, None]),
    )
    assert [output.shape for output in outputs] == [scaled.shape] * 3


def test_many_residuals_are_gone_through_once():
    """Two ways back from each sum: of 64 sums, more than can be gone."""
    rows = keras.Input((None, D))
    for _ in range(64):
        rows = rows + ops.relu(rows)
    assert find_lost_mask(rows) is None
