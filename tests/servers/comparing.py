"""Compares what two servers answered to the same requests."""

import pickle

from keras_attn.export.verification.comparison import as_arrays, differences
from keras_attn.export.verification.tolerance import read_tolerance
from keras_attn.export.version_files import read_manifest


def problems_of(folder, expected, received):
    """What is not the same.

    Args:
        folder: of an export's versions, with the requests.
        expected: answers to them, in their order.
        received: likewise, or a sentence that says why there are none.

    Returns:
        A list of sentences.
    """
    for answers in (expected, received):
        if isinstance(answers, str):
            return [answers]
    requests = pickle.loads((folder / "requests").read_bytes())
    texts = [text for _, inputs in requests for text in inputs.get("text", ())]
    tolerance = read_tolerance(folder / "1", read_manifest(folder / "1"), texts)
    return [
        f"{name}: {problem}"
        for (name, _), one, other in zip(requests, expected, received, strict=True)
        for problem in differences(as_arrays(one), as_arrays(other), tolerance)
    ]
