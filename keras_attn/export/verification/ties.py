"""Texts that a model prefers equally: two right answers may choose differently between them."""

import numpy as np
import tensorflow as tf

from keras_attn.export.verification.comparison import differences, rows_of

# Their score is the log-probability of the text that they answer, so that it can be looked up.
_SIGNATURES = ("serving_default", "stream")


def tied_rows(backend, signature, texts, expected, received, tolerance):
    """Rows in which the received text is another one, and none that the model likes less.

    Two texts are tied where the first tokens in which they differ, or both as a whole, are equally probable
    within the bounds of both numbers. The received score has to be that of the received text. What is drawn,
    and what depends on it, is compared strictly: a tie between a random number and a sum of probabilities
    cannot be seen in the answer. So are ties between hypotheses that a beam dropped on the way.

    Args:
        backend: an object with `ask(signature, inputs)`, whose model says what it likes.
        signature: that was asked.
        texts: the sources, strings as bytes.
        expected: an answer, arrays by output name.
        received: another answer.
        tolerance: as of `differences`, with `bounds`.

    Returns:
        A list of row numbers.
    """
    if signature not in _SIGNATURES or expected["text"].shape != received["text"].shape:
        return []
    return [
        int(row)
        for row in np.flatnonzero(expected["text"] != received["text"])
        if _is_tie(backend, texts[row], rows_of(expected, [row]), rows_of(received, [row]), tolerance)
    ]


def _is_tie(backend, text, expected, received, tolerance):
    both = {"text": _strings([text, text]), "target": np.concatenate([expected["text"], received["text"]])}
    try:
        scored = backend.ask("score", both)
    except (tf.errors.OpError, ValueError, KeyError):  # longer than what can be scored, or no such signature
        return False
    known = {"score": scored["log_prob"][1:], "length": scored["length"][1:]}
    if differences(known, {"score": received["score"], "length": known["length"]}, tolerance):
        return False
    totals = scored["log_prob"]
    parted = int(np.argmax(scored["target_pieces"][0] != scored["target_pieces"][1]))
    tokens = scored["token_log_probs"]
    return (
        abs(totals[0] - totals[1]) <= tolerance.bounds("log_prob", totals, scored).sum()
        or abs(tokens[0, parted] - tokens[1, parted])
        <= np.broadcast_to(tolerance.bounds("token_log_probs", tokens, scored), tokens.shape)[:, parted].sum()
    )


def _strings(texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
