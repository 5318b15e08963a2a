"""check_padding_invariance: passes models that are right, and names the layer where another goes wrong."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.checks.padding_invariance import check_padding_invariance
from keras_attn.layers import (
    BahdanauAttention,
    GatedConvolution,
    SinusoidalPositionalEncoding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from keras_attn.models import RecurrentSeq2Seq

D = 6
SOURCE = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 3, 2], [1, 0, 0, 0, 0]])
TARGET = np.array([[1, 2, 0], [4, 5, 6], [3, 0, 0]])
CONV_WARNING = pytest.mark.filterwarnings("ignore:Layer '.*was passed an input with a mask:UserWarning")

RIGHT = {
    "masked average": lambda x: keras.layers.GlobalAveragePooling1D()(x),
    "recurrent": lambda x: keras.layers.Bidirectional(keras.layers.GRU(5, return_sequences=True))(x),
    "gated convolution": lambda x: GatedConvolution(5, 3)(GatedConvolution(D, 3)(x)),
    "encoder": lambda x: TransformerEncoderBlock(2, 7)(SinusoidalPositionalEncoding()(x)),
    "attention": lambda x: BahdanauAttention(5)(x, x, return_attention_scores=True),
    # The number of places changes with the padding, and the output does not depend on it.
    "a count that does not count": lambda x: (
        keras.layers.GlobalAveragePooling1D()(x)
        + 0.0 * ops.sum(ops.ones_like(ops.stop_gradient(x)), axis=1)[:, :D]
    ),
}
WRONG = {
    "conv": lambda x: keras.layers.GRU(5)(keras.layers.Conv1D(D, 3, padding="same", name="conv")(x)),
    "average": lambda x: keras.layers.Dense(5)(keras.layers.GlobalAveragePooling1D(name="average")(x * 2.0)),
    "backwards": lambda x: keras.layers.GRU(5, go_backwards=True, name="backwards")(ops.relu(x)),
    "attention": lambda x: keras.layers.Dense(3)(
        keras.layers.MultiHeadAttention(2, 5, name="attention")(x * 2.0, x * 2.0)
    ),
    "last": lambda x: keras.layers.GRU(5, name="last")(x * 2.0),
}


def over_ids(make):
    """A functional model of ids whose embedding carries a mask."""
    keras.utils.set_random_seed(7)
    ids = keras.Input((None,), dtype="int32")
    return keras.Model(ids, make(keras.layers.Embedding(7, D, mask_zero=True)(ids)))


@pytest.mark.parametrize("kind", RIGHT)
def test_right_models_pass(kind):
    report = check_padding_invariance(over_ids(RIGHT[kind]), SOURCE, raise_on_change=True)
    assert report.passed, report
    assert (report.layer, report.layer_type) == (None, None)
    assert report.largest_change < 1e-5
    assert str(report) == "More padding changes nothing."


@CONV_WARNING
@pytest.mark.parametrize("kind", WRONG)
def test_wrong_models_do_not_and_the_layer_is_named(kind):
    report = check_padding_invariance(over_ids(WRONG[kind]), SOURCE)
    assert not report.passed
    assert report.layer == kind
    assert report.largest_change > 1e-4
    assert report.mask_lost_at.startswith({"conv": "conv", "backwards": "relu"}.get(kind, "multiply"))
    assert f"It begins at layer '{kind}' ({report.layer_type}). The implicit mask got lost" in str(report)


@CONV_WARNING
def test_raises_when_asked():
    message = (
        r"More padding changes the outputs by .*'conv' \(Conv1D\).*Expected.*Received.*Pass the padding mask"
    )
    with pytest.raises(ValueError, match=message):
        check_padding_invariance(over_ids(WRONG["conv"]), SOURCE, raise_on_change=True)


@pytest.mark.parametrize("target", [TARGET, np.pad(TARGET, ((0, 0), (0, 2)))], ids=["shorter", "as long"])
def test_our_sequence_to_sequence_model_passes(target):
    model = RecurrentSeq2Seq(7, 11, embedding_dim=5, units=7, attention_units=3)
    report = check_padding_invariance(model, {"source": SOURCE, "target": target})
    assert report.passed, report


def transformer(**masks):
    """Source and target ids to outputs of a decoder; the memory's mask is given or not."""
    keras.utils.set_random_seed(7)
    source, target = (keras.Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    embedding = keras.layers.Embedding(7, D)
    memory = TransformerEncoderBlock(2, 7, name="encoder")(
        embedding(source), inputs_mask=ops.not_equal(source, 0)
    )
    masks = {name: make(source) for name, make in masks.items()}
    outputs = TransformerDecoderBlock(2, 7, name="decoder")(embedding(target), memory, **masks)
    return keras.Model({"source": source, "target": target}, keras.layers.Dense(3)(outputs))


def test_two_inputs_of_different_lengths():
    inputs = {"source": SOURCE, "target": TARGET}
    assert check_padding_invariance(transformer(memory_mask=lambda ids: ops.not_equal(ids, 0)), inputs).passed
    report = check_padding_invariance(transformer(), inputs)
    assert (report.passed, report.layer, report.mask_lost_at) == (False, "decoder", None)


@pytest.mark.parametrize("right", [False, True])
def test_features_with_a_mask(rng, right):
    features, mask = keras.Input((None, D), name="features"), keras.Input((None,), dtype="bool", name="mask")
    convolved = GatedConvolution(5, 3, name="first")(features, mask=mask if right else None)
    model = keras.Model([features, mask], GatedConvolution(5, 3, name="second")(convolved, mask=mask))
    inputs = [rng.normal(size=(3, 5, D)).astype("float32"), SOURCE != 0]
    report = check_padding_invariance(model, inputs)
    assert (report.passed, report.layer) == (right, None if right else "first")


def test_features_alone_pad_with_zeros(rng):
    features = keras.Input((None, D))
    masked = keras.layers.Masking()(features)
    inputs = rng.normal(size=(3, 5, D)).astype("float32") * (SOURCE != 0)[..., None]
    pooled = keras.layers.GlobalAveragePooling1D(name="pooled")
    assert check_padding_invariance(keras.Model(features, pooled(masked)), inputs).passed
    report = check_padding_invariance(keras.Model(features, pooled(ops.copy(masked))), inputs)
    assert report.layer == "pooled"


def test_another_id_that_pads():
    ids = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(11, D)(ids)
    pooled = keras.layers.GlobalAveragePooling1D()(embedded, mask=ops.not_equal(ids, 9))
    model, inputs = keras.Model(ids, pooled), np.array([[1, 2, 9], [0, 3, 4]])
    assert check_padding_invariance(model, inputs, pad_id=9).passed
    assert not check_padding_invariance(model, inputs).passed


def test_sequential_models():
    model = keras.Sequential(
        [keras.Input((None,)), keras.layers.Embedding(7, D), keras.layers.GlobalAveragePooling1D(name="pool")]
    )
    assert check_padding_invariance(model, SOURCE).layer == "pool"


class Subclassed(keras.Model):
    def __init__(self, mask_zero):
        super().__init__()
        self.parts = [
            keras.layers.Embedding(7, D, mask_zero=mask_zero),
            keras.layers.GlobalAveragePooling1D(),
        ]

    def call(self, ids):
        return self.parts[1](self.parts[0](ids))


@pytest.mark.parametrize("right", [False, True])
def test_of_a_model_that_is_not_functional_only_the_outputs_are_known(right):
    report = check_padding_invariance(Subclassed(right), SOURCE)
    assert (report.passed, report.layer) == (right, None)
    assert right or "not functional, so the layer is not known" in str(report)


def test_any_callable():
    assert check_padding_invariance(lambda ids: (ids != 0).sum(-1), SOURCE).passed
    assert not check_padding_invariance(lambda ids: (ids == 0).sum(-1), SOURCE).passed
    assert not check_padding_invariance(lambda ids: np.where(ids.shape[1] > 5, np.nan, 1.0), SOURCE).passed


def test_small_changes_within_the_tolerance_are_rounding():
    def shifted(ids):
        return np.float64(1 + 1e-3 * ids.shape[1])

    report = check_padding_invariance(shifted, SOURCE)
    assert report.largest_change == pytest.approx(7e-3 / 1.005)
    assert check_padding_invariance(shifted, SOURCE, tolerance=0.01).passed


def test_the_users_model_is_left_as_it_was():
    model = over_ids(RIGHT["encoder"])
    before = [layer.output for layer in model.layers]
    check_padding_invariance(model, SOURCE)
    assert all(layer.output is output for layer, output in zip(model.layers, before, strict=True))


def test_a_model_of_fixed_length():
    model = keras.Sequential([keras.Input((5,), name="ids"), keras.layers.Embedding(7, D)])
    message = (
        r"No input of the model can be padded. Expected an axis of unknown length.*Received.*\(None, 5\)"
    )
    with pytest.raises(ValueError, match=message):
        check_padding_invariance(model, SOURCE)
