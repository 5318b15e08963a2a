"""JSON text to Python values, with the same verdict on every text as the stock server's parser.

Python's own scanner does the work where it agrees. Where it refuses a text, or where it is known to
be more lenient, the strict parser decides and words the error.

Strings are decoded as UTF-8 with `surrogateescape`: nobody checks their encoding on the way in, and
`encode_text` gives back exactly the bytes that arrived.
"""

from __future__ import annotations

import json
import re

from keras_attn.serving.errors import invalid
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.members import members_of
from keras_attn.serving.json.strict_parser import BYTE_ORDER_MARK, JsonSyntaxError, parse_strict

# What Python's scanner reads differently: escaped surrogates, which it does not pair up by the same
# rules, and numbers that overflow a double, which it turns into infinity.
_DOUBTFUL = re.compile(rb"\\u[dD][89a-fA-F]|[eE]\+?[0-9]{3}|[0-9]{300}")
_BLANK = " \t\n\r"


def decode_text(data: bytes) -> str:
    """Decodes bytes so that invalid UTF-8 survives."""
    return data.decode("utf-8", "surrogateescape")


def encode_text(text: str) -> bytes:
    """Inverse of `decode_text`."""
    return text.encode("utf-8", "surrogateescape")


def parse_json(body: bytes) -> object:
    """Parses a request body. What follows the first value is ignored.

    Args:
        body: JSON text; `NaN`, `Infinity`, `Inf` and their negatives are allowed.

    Returns:
        dict (`Members` where keys are equal), list, str, int, float, bool or None.

    Raises:
        ServingError: the text is no JSON; says where.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    if not _DOUBTFUL.search(body):
        try:
            text = decode_text(body[BYTE_ORDER_MARK.match(body).end() :])
            value = _DECODER.raw_decode(text.lstrip(_BLANK))[0]
            if type(value) not in (int, float):  # Python takes the 1 of a lone `1.` or `1e`
                return value
        except (ValueError, RecursionError):
            pass  # the strict parser finds out what is wrong, or accepts it
    try:
        return parse_strict(body)
    except JsonSyntaxError as error:
        raise invalid(f"JSON Parse error: {error.problem} at offset: {error.offset}") from error


def parse_object(body: bytes) -> dict:
    """Parses a request body that must be a JSON object.

    Raises:
        ServingError: the text is no JSON or no object.
    """
    document = parse_json(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {dump_json(document)} Is not object")
    return document


_DECODER = json.JSONDecoder(object_pairs_hook=members_of)
