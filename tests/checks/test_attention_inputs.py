"""Sequences and masks that do not go together are refused by every attention, whatever computes it."""

import keras
import numpy as np
import pytest

from keras_attn import layers

B, T, S, D = 2, 3, 5, 4
ATTENTIONS = {
    "full": lambda: layers.MultiHeadAttention(2, 4),
    "blockwise": lambda: layers.MultiHeadAttention(2, 4, implementation="blockwise"),
    "windowed": lambda: layers.MultiHeadAttention(2, 4, implementation="windowed", window=2),
    "bahdanau": lambda: layers.BahdanauAttention(4),
    "luong": lambda: layers.LuongAttention(),
    "in_order": lambda: layers.CoverageAttention(4),
}
OF_MASK = r"a value for each place .* Expected \[2, 5\]. Received: shape \(2, 4\)"
WRONG = {
    "query": ({"query": (B, D)}, r"`query` has 2 axes. Expected \[batch, length, width\]. .*\(2, 4\)"),
    "key": ({"key": (B, S - 1, D)}, r"`key` has another length .* Expected 5. Received: shape \(2, 4, 4\)"),
    "value_mask": ({"value_mask": (B, S - 1)}, f"`value_mask` must have {OF_MASK}"),
    "key_mask": ({"key_mask": (B, S - 1)}, f"`key_mask` must have {OF_MASK}"),
    "one_place": ({"value_mask": (B, 1)}, r"`value_mask` must have .* Received: shape \(2, 1\)"),
    "one_axis": ({"value_mask": (S,)}, r"`value_mask` has 1 axes. Expected \[batch, length\]"),
    "batch": ({"query": (3, T, D)}, r"`value` has another batch size than `query`. Expected 3. Received: 2"),
    "batch_of_mask": ({"value_mask": (3, S)}, r"`value_mask` must have .* Received: shape \(3, 5\)"),
    "query_mask": ({"query_mask": (B, S)}, r"`query_mask` must have .* Expected \[2, 3\]. .*\(2, 5\)"),
    "attention_mask": ({"attention_mask": (B, S, T)}, r"`attention_mask` must broadcast .* \[.., 3, 5\]"),
    "row": ({"attention_mask": (T,)}, r"`attention_mask` must broadcast .* Received: shape \(3,\)"),
}


def arguments(**changes):
    """Arrays of a call: sequences of ones and masks that keep everything."""
    shapes = {"query": (B, T, D), "value": (B, S, D), **changes}
    return {name: np.ones(shape, "bool" if "mask" in name else "float32") for name, shape in shapes.items()}


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_shapes_that_do_not_go_together(name, changes, message):
    given = arguments(**changes)
    with pytest.raises(ValueError, match=message):
        ATTENTIONS[name]()(**given)
    symbols = {name: keras.KerasTensor(x.shape, dtype=x.dtype.name) for name, x in given.items()}
    with pytest.raises(ValueError, match=message):
        ATTENTIONS[name]()(**symbols)


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("mask", ["value_mask", "attention_mask"])
def test_a_mask_that_would_be_added(name, mask):
    added = np.zeros((B, S) if mask == "value_mask" else (1, T, S), "float32")
    added[..., -1] = -np.inf
    with pytest.raises(ValueError, match=rf"`{mask}` says what to keep: .* -inf. .* pass `mask >= 0`"):
        ATTENTIONS[name]()(**arguments(), **{mask: added})


@pytest.mark.parametrize("name", ATTENTIONS)
def test_masks_of_zeros_and_ones_in_all_shapes_that_broadcast(name):
    layer, given = ATTENTIONS[name](), arguments()
    expected = layer(**given, value_mask=np.arange(S)[None] < [[S], [2]])
    for mask in (np.arange(S) < 2, (np.arange(S) < 2).astype("float32")[None], np.ones((T, 1))):
        row = layer(**given, attention_mask=mask)
        if mask.shape[-1] == S:
            np.testing.assert_allclose(row[1], expected[1], rtol=1e-5)


def test_the_convolutional_decoders_attention():
    layer, ones = layers.MultiStepAttention(), np.ones((B, T, D), "float32")
    with pytest.raises(ValueError, match="`value_mask` must have"):
        layer(ones, ones, np.ones((B, S, D), "float32"), value_mask=np.ones((B, S - 1), "bool"))
    with pytest.raises(ValueError, match="`value` has 2 axes"):
        layer(ones, ones, keras.KerasTensor((B, D)))


@pytest.mark.parametrize("name", ATTENTIONS)
def test_masks_may_be_lists_and_have_one_row(name):
    layer, given, row = ATTENTIONS[name](), arguments(), [True] * 2 + [False] * (S - 2)
    for mask in ([row], [row] * B, np.array([row])):
        np.testing.assert_allclose(
            layer(**given, value_mask=mask), layer(**given, value_mask=np.array([row] * B)), rtol=1e-6
        )


def test_four_axes_are_for_heads():
    given = arguments(attention_mask=(B, 1, T, S))
    ATTENTIONS["full"]()(**given)
    with pytest.raises(ValueError, match=r"`attention_mask` has 4 axes. Expected \[batch, queries, keys\]\."):
        ATTENTIONS["bahdanau"]()(**given)


def test_lengths_that_are_not_known_may_be_anything():
    query, value, mask = (keras.Input(shape) for shape in ((None, D), (S, D), (None,)))
    context = layers.BahdanauAttention(4)(query, value, query_mask=mask, value_mask=mask)
    assert context.shape == (None, None, D)
