"""Every family on any Keras backend: encoded, step by step and in one pass, against the full pass."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.models import (
    ConvolutionalSeq2Seq,
    RecurrentSeq2Seq,
    ScheduledSampling,
    TeacherForcingSchedule,
    TransformerLanguageModel,
    TransformerSeq2Seq,
)

from .. import bounds

V = 23
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19], [1, 10, 3, 22], [1, 21, 4, 0]], np.int32)
B, T = TARGET.shape
S = SOURCE.shape[1]
TERMS = 4 * (7 * 12 + 17 + S + T)  # the largest: two blocks on each side
BLOCKS = {"embedding_dim": 12, "num_heads": 3, "hidden_dim": 17, "dropout": 0.3}
FED = {"input_feeding": True, "attention_vector_units": 5, "num_decoder_layers": 2, "residual": True}
MODELS = {
    "recurrent": lambda: RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3),
    "recurrent without attention": lambda: RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention=None),
    "recurrent deep": lambda: RecurrentSeq2Seq(
        19, V, embedding_dim=5, units=7, attention="luong_local", cell="lstm", **FED
    ),
    "convolutional": lambda: ConvolutionalSeq2Seq(
        19,
        V,
        embedding_dim=5,
        encoder_convolutions=[(7, 3)],
        decoder_convolutions=[(7, 3), (11, 2)],
        decoder_attention=[False, True],
    ),
    "transformer": lambda: TransformerSeq2Seq(19, V, num_encoder_layers=1, num_decoder_layers=2, **BLOCKS),
    "transformer t5": lambda: TransformerSeq2Seq(
        19, V, num_encoder_layers=2, num_decoder_layers=1, **BLOCKS, positions="t5", norm_first=True
    ),
    "language model": lambda: TransformerLanguageModel(V, num_layers=2, **BLOCKS),
    "language model rotary": lambda: TransformerLanguageModel(
        V, num_layers=1, **BLOCKS, positions="rotary", num_key_value_heads=1, norm_first=False
    ),
}
EVERY_MODEL = pytest.mark.parametrize("name", MODELS)
EXTENDABLE = pytest.mark.parametrize("name", [name for name in MODELS if name[0] in "tl"])


@pytest.fixture(scope="module")
def models():
    """One of each, with random weights."""
    rng, made = np.random.default_rng(7), {name: make() for name, make in MODELS.items()}
    for model in made.values():
        for weight in model.trainable_weights:
            weight.assign(rng.normal(0, 0.5, weight.shape) + (weight.name == "gamma"))
    return made


@pytest.fixture(scope="module")
def full_pass(models):
    """The logits of each model, computed once."""
    return {name: numbers(model({"source": SOURCE, "target": TARGET})) for name, model in models.items()}


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def assert_close(one, other):
    bounds.assert_close(numbers(one), numbers(other), TERMS)


@EVERY_MODEL
def test_step_by_step_equals_the_full_pass(models, full_pass, name):
    model = models[name]
    state, memory = model.start(SOURCE)
    for position in range(T):
        tokens = ops.convert_to_tensor(TARGET[:, position : position + 1])
        step = model.step(tokens, ops.convert_to_tensor(position), state, memory)
        state = step.state
        assert_close(step.logits[:, 0], full_pass[name][:, position])
        assert step.alignment.shape == (B, 1, S)
        assert not numbers(step.alignment)[:, 0][SOURCE == 0].any()


@EXTENDABLE
def test_in_one_pass_and_on_from_a_part_of_it(models, full_pass, name):
    model = models[name]
    state, memory = model.start(SOURCE)
    extension = model.extend(TARGET[:, None], 0, state, memory)
    assert_close(extension.logits[:, 0], full_pass[name])
    state = model.rewind(extension.extended, 2)
    assert_close(model.step(TARGET[:, 2:3], 2, state, memory).logits[:, 0], full_pass[name][:, 2])


@EVERY_MODEL
def test_encoded_states_and_their_mask(models, name):
    """One state a place, of a width of its own, which padding does not change."""
    model = models[name]
    states, mask = (numbers(x) for x in model.encode(SOURCE))
    places = 1 if "without" in name else S
    assert states.shape[:2] == mask.shape == (B, places)
    assert states.dtype == np.float32
    np.testing.assert_array_equal(mask, SOURCE != 0 if places == S else np.ones((B, 1), bool))
    padded, longer = (numbers(x) for x in model.encode(np.pad(SOURCE, ((0, 0), (0, 2)))))
    assert_close(padded[:, :places][mask], states[mask])
    assert not longer[:, places:].any()
    alone, _ = model.encode(SOURCE[1:2, :2])
    assert_close(alone[0], states[1, mask[1]])


@EVERY_MODEL
def test_encoded_states_are_what_the_decoder_attends_to(models, name):
    model = models[name]
    states, mask = model.encode(SOURCE)
    _, memory = model.start(SOURCE)
    if name.startswith("recurrent"):
        assert_close(states, memory["values"])
    elif name == "convolutional":
        assert_close(states, memory["keys"])
    elif name.startswith("transformer"):
        blocks = [layer for layer in model.layers if layer.name.startswith("decoder_") and layer.built]
        expected = [block.prepare_memory(states) for block in blocks if hasattr(block, "prepare_memory")]
        keras.tree.map_structure(assert_close, expected, memory["layers"])
    else:  # predicts what follows each token of the prompt, were it the target
        logits = model({"source": SOURCE[:, :0], "target": SOURCE})
        predicted = model.get_layer("embedding")(states, reverse=True)
        assert_close(predicted[mask], logits[mask])
        mask = memory["source_mask"]
    if "language" not in name:
        np.testing.assert_array_equal(numbers(mask), numbers(memory["mask"]))


def test_states_of_nothing(models):
    states, mask = models["language model"].encode(SOURCE[:, :0])
    assert states.shape == (B, 0, 12)
    assert mask.shape == (B, 0)


def test_scheduled_sampling_encodes_with_its_model(models):
    model = models["recurrent"]
    wrapper = ScheduledSampling(model, TeacherForcingSchedule("linear", k=1.0, slope=0.1))
    for one, other in zip(wrapper.encode(SOURCE), model.encode(SOURCE), strict=True):
        np.testing.assert_array_equal(numbers(one), numbers(other))
