"""What does not keep to the protocols is refused with a sentence, before the loop runs."""

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Ensemble, Greedy, MinimumLength, decode
from keras_attn.protocols import Step

V = 5


class Counting:
    """A decoder without attention whose state counts the steps; `changes` break it."""

    def __init__(self, **changes):
        self.changes = changes

    def start(self, source):
        return self.changes.get("state", tf.zeros([tf.shape(source)[0], 1, 1])), ()

    def step(self, tokens, position, state, memory):
        logits = 9.0 * tf.one_hot(tokens + 1, V) + 0.0 * state
        return self.changes.get("step", lambda *parts: Step(*parts))(logits, state + 1.0, None)


def decoded(decoder=None, source=((3, 2),), max_length=4, **options):
    return decode(
        Counting() if decoder is None else decoder,
        source,
        start_id=1,
        end_id=4,
        max_length=max_length,
        **options,
    )


@pytest.mark.parametrize("strategy", [None, Greedy(), BeamSearch(2)])
def test_a_decoder_without_attention_decodes(strategy):
    assert decoded(strategy=strategy).tokens[0, 0].numpy().tolist() == [2, 3, 4]
    both = decoded(Ensemble([Counting(), Counting()]), strategy=strategy)
    assert both.tokens[0, 0].numpy().tolist() == [2, 3, 4]


@pytest.mark.parametrize("source", [[[3, 2]], np.array([[3, 2]], "int64"), tf.constant([[3, 2]], tf.uint8)])
def test_ids_of_any_integer_type(source):
    assert decoded(source=source).tokens[0, 0].numpy().tolist() == [2, 3, 4]


@pytest.mark.parametrize("source", [[[]], np.zeros((1, 0)), np.zeros((0, 3))])
def test_a_source_of_nothing_has_no_type(source):
    assert decoded(source=source).tokens.shape[0] == len(source)


WRONG = {
    "one_axis": ({"source": [3, 2]}, ValueError, r"Expected \[B, S\]. Received: shape \(2,\). Write \[ids\]"),
    "floats": ({"source": [[3.0, 2.0]]}, TypeError, "`source` must hold ids. .* Received: float32"),
    "class": ({"strategy": BeamSearch}, TypeError, "`strategy` must be an object .* Received: <class"),
    "name": ({"strategy": "greedy"}, TypeError, "Expected Greedy.*Received: 'greedy'"),
    "number": ({"strategy": 4}, TypeError, "`strategy` must be an object .* Received: 4"),
    "processor": ({"processors": MinimumLength(3)}, TypeError, r"must be several.* Write \[processor\]"),
    "of_a_class": ({"processors": [MinimumLength]}, TypeError, "holds something that is no processor"),
    "decoder": ({"decoder": Greedy()}, TypeError, "`decoder` has no method `start`"),
    "alignments": ({"return_alignments": True}, ValueError, "gives no attention weights"),
    "coverage": ({"strategy": BeamSearch(2, coverage_penalty=0.2)}, ValueError, "gives no attention weights"),
    "tuple": ({"decoder": Counting(step=lambda *x: x)}, TypeError, "`step` must return a .*Step.*'tuple'"),
    "logits": (
        {"decoder": Counting(step=lambda logits, *rest: Step(logits[:, 0], *rest))},
        ValueError,
        r"`step` must return logits \[B, K, V\].* Received: shape \(1, 5\)",
    ),
    "no_state": ({"decoder": Counting(state=None)}, ValueError, "Expected leaves .* Received: None"),
    "a_number": ({"decoder": Counting(state=[0])}, ValueError, "Expected leaves .* Received: 0"),
    "scalar": ({"decoder": Counting(state=tf.constant(0))}, ValueError, r"Received: shape \(\)"),
    "no_axis": (
        {"decoder": Counting(state=tf.zeros([1, 7]))},
        ValueError,
        r"\(1, 7\). .* `tensor\[:, None\]`",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        decoded(**arguments)


@pytest.mark.parametrize("sizes", [(2.0, 1), (2, 1.0), ("2", 1)])
def test_sizes_of_a_beam_are_whole_numbers(sizes):
    with pytest.raises(ValueError, match=r"`beam_size` and `num_hypotheses` must be positive. Expected in"):
        BeamSearch(*sizes)


def test_a_length_penalty_is_a_function():
    with pytest.raises(TypeError, match=r"Expected e.g. GNMTLengthPenalty\(0.6\), or None. Received: 0.6"):
        BeamSearch(2, length_penalty=0.6)
