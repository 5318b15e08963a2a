"""A batch without rows is answered without the model seeing it."""

import pytest
import tensorflow as tf

from keras_attn.text_to_text import answer_any_batch


def answer(text, factor):
    """Fails without rows, as convolutions do."""
    tf.debugging.assert_greater(tf.shape(text)[0], 0)
    tf.debugging.assert_greater(tf.shape(factor)[0], 0)
    lengths = tf.cast(tf.strings.length(text), tf.float32)
    return {"length": lengths * factor, "table": tf.fill([tf.shape(text)[0], 3], 7)}


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("factors", [[2.0], []])
def test_no_rows_in_no_rows_out(graph, factors):
    def run(text, factor):
        return answer_any_batch(answer, {"text": text, "factor": factor}, {"text": "x", "factor": 5.0})

    if graph:
        specs = [tf.TensorSpec([None], tf.string), tf.TensorSpec([None])]
        run = tf.function(run, input_signature=specs)
    outputs = run(tf.constant([], tf.string), tf.constant(factors))
    assert outputs["length"].shape == (0,)
    assert outputs["table"].shape == (0, 3)
    rows = run(tf.constant(["ab", "abc"]), tf.constant([2.0]))
    assert rows["length"].numpy().tolist() == [4, 6]


def test_rows_with_further_axes_are_filled_alike():
    seen = {}

    def look(ids):
        seen["ids"] = ids
        return {"ids": ids}

    answer_any_batch(look, {"ids": tf.zeros([0, 3], tf.int32)}, {"ids": 9})
    assert seen["ids"].numpy().tolist() == [[9, 9, 9]]
