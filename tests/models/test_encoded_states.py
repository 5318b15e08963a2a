"""Encoded states of every family on any Keras backend: what the decoder attends to."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import ops

from keras_attn.models import ScheduledSampling, TeacherForcingSchedule

from .. import bounds
from ..model_rows import SOURCE, TERMS, B, family_of, make

NAMES = (
    "recurrent",
    "recurrent/no_attention_copy",
    "recurrent/luong_local",
    "convolutional/some_attention",
    "transformer",
    "transformer/t5",
    "language_model",
    "language_model/rotary",
)


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def assert_close(name, one, other):
    bounds.assert_close(numbers(one), numbers(other), TERMS[family_of(name)])


@pytest.mark.parametrize("name", NAMES)
def test_encoded_states_are_what_the_decoder_attends_to(name):
    model = make(name)
    states, mask = model.encode(SOURCE)
    _, memory = model.start(SOURCE)
    if name.startswith("recurrent"):
        assert_close(name, states, memory["values"])
    elif name.startswith("convolutional"):
        assert_close(name, states, memory["keys"])
    elif name.startswith("transformer"):
        blocks = [layer for layer in model.layers if layer.name.startswith("decoder_") and layer.built]
        expected = [block.prepare_memory(states) for block in blocks if hasattr(block, "prepare_memory")]
        keras.tree.map_structure(partial(assert_close, name), expected, memory["layers"])
    else:  # predicts what follows each token of the prompt, were it the target
        logits = model({"source": SOURCE[:, :0], "target": SOURCE})
        predicted = model.get_layer("embedding")(states, reverse=True)
        assert_close(name, predicted[mask], logits[mask])
        mask = memory["source_mask"]
    if "language" not in name:
        np.testing.assert_array_equal(numbers(mask), numbers(memory["mask"]))


def test_states_of_nothing():
    states, mask = make("language_model").encode(SOURCE[:, :0])
    assert states.shape == (B, 0, 12)
    assert mask.shape == (B, 0)


def test_scheduled_sampling_encodes_with_its_model():
    model = make("recurrent")
    wrapper = ScheduledSampling(model, TeacherForcingSchedule("linear", k=1.0, slope=0.1))
    for one, other in zip(wrapper.encode(SOURCE), model.encode(SOURCE), strict=True):
        np.testing.assert_array_equal(numbers(one), numbers(other))
