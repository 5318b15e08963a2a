"""A batch without rows, answered by a model that needs one."""

import tensorflow as tf


def answer_any_batch(answer, inputs, fillers):
    """Calls `answer` with at least one row, and returns as many as there were.

    Convolutions and sums over attention fail where there are no rows at all.

    Args:
        answer: a function of named inputs to a dictionary of outputs, all with the batch first.
        inputs: a dictionary of name to tensor `[B, ...]`; the first one says what B is.
        fillers: a dictionary of name to what the one row holds that is put where there is none.

    Returns:
        A dictionary of output name to tensor `[B, ...]`.
    """
    count = tf.shape(next(iter(inputs.values())))[0]
    filled = {name: _filled(values, fillers[name], count) for name, values in inputs.items()}
    return {name: output[:count] for name, output in answer(**filled).items()}


def _filled(values, filler, count):
    """`values`, or one row of the filler where neither they nor the batch have rows."""
    shape = tf.shape(values)
    missing = tf.cast(tf.equal(shape[0] + count, 0), tf.int32)
    row = tf.fill(tf.concat([missing[None], shape[1:]], axis=0), tf.cast(filler, values.dtype))
    return tf.concat([values, row], axis=0)
