"""The proof that what is streamed is what is answered at once."""

import itertools

import numpy as np
import tensorflow as tf

from keras_attn.export.verification.checks import Check
from keras_attn.export.verification.comparison import as_arrays, differences


def check_streams(backend, texts, tolerance, is_rough=False):
    """Follows every text by itself, and compares with the answer of `serving_default`.

    Args:
        backend: an object with a `name`, `ask(signature, inputs)` and `follow(text)`, which returns the texts
            so far in the order in which they came, as bytes, and the answer, arrays by output name.
        texts: strings as bytes.
        tolerance: of the score, see `differences`.
        is_rough: whether the two signatures may round, and so decode, otherwise: then the events alone are
            compared, with the answer that they are of.

    Returns:
        `Check`.
    """
    problems = []
    for row, text in enumerate(texts):
        try:
            parts, answer = backend.follow(text)
            answer = as_arrays(answer)
            expected = answer if is_rough else backend.ask("serving_default", {"text": _array(text)})
            found = [*differences(expected, answer, tolerance), *_broken(parts, expected["text"][0])]
        except (tf.errors.OpError, ValueError, KeyError) as error:
            found = [f"{type(error).__name__}: {str(error).splitlines()[0]}"]
        problems += [f"stream, row {row}: {sentence}" for sentence in found]
    return Check(f"{backend.name}, streamed", tuple(problems), len(texts))


def follow_session(session, text):
    """The texts so far of a run of `stream` that is over, and its answer; see `check_streams`.

    Args:
        session: a `SessionBackend` that nobody else uses.
        text: as bytes.
    """
    inputs = {"text": _array(text), "stream": np.array([7], np.int64)}
    answer, parts = session.ask("stream", inputs), []
    while True:
        events = session.ask("stream_events", {"wait": np.zeros(256, bool)})
        known = events["stream"] == inputs["stream"]
        parts += events["text"][known].tolist()
        if not known.all():
            return parts, answer


def _broken(parts, whole):
    """Problems of the partial texts of one answer."""
    for shorter, longer in itertools.pairwise(parts):
        if not longer.startswith(shorter):
            yield f"{shorter!r} was followed by {longer!r}, which does not begin with it"
    if not parts or parts[-1] != whole:
        yield f"the last event says {parts[-1] if parts else None!r} instead of {whole!r}"


def _array(text):
    array = np.empty(1, object)
    array[0] = text
    return array
