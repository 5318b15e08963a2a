"""Classifications and regressions to the JSON bodies of their replies."""

from __future__ import annotations

import numpy as np

from keras_attn.serving.errors import invalid
from keras_attn.serving.inference.classify import Classification
from keras_attn.serving.json.parser import decode_text, encode_text
from keras_attn.serving.json.text import decimal_texts, string_text


def write_classifications(result: Classification) -> bytes:
    """Writes `{"results": [[["label", 0.25], ...], ...]}`: the classes of each example.

    Raises:
        ServingError: there is no example in the result.
    """
    if not result.num_examples:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for labels, scores in result.rows():
        texts = decimal_texts(scores)
        pairs = (f"[{string_text(decode_text(x))}, {y}]" for x, y in zip(labels, texts, strict=True))
        rows.append(f"[{', '.join(pairs)}]")
    return encode_text(f'{{\n    "results": [{", ".join(rows)}\n    ]\n}}')


def write_regressions(values: np.ndarray) -> bytes:
    """Writes `{"results": [0.25, ...]}`: one number for each example.

    Args:
        values: float32 array `[B]`.

    Raises:
        ServingError: there is no example in the result.
    """
    if not values.size:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    texts = ", ".join(decimal_texts(values))
    return encode_text(f'{{\n    "results": [{texts}]\n}}')
