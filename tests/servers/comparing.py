"""Compares what two servers answered to the same requests."""

import pickle

from keras_attn.export.answers import as_arrays, differences


def problems_of(folder, expected, received):
    """What is not the same.

    Args:
        folder: of an export, with the requests beside it.
        expected: answers to them, in their order.
        received: likewise, or a sentence that says why there are none.

    Returns:
        A list of sentences.
    """
    for answers in (expected, received):
        if isinstance(answers, str):
            return [answers]
    names = [name for name, _ in pickle.loads((folder / "requests").read_bytes())]
    return [
        f"{name}: {problem}"
        for name, one, other in zip(names, expected, received, strict=True)
        for problem in differences(as_arrays(one), as_arrays(other))
    ]
