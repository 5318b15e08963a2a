"""Fuzzes the REST API with atheris (`pip install 'keras-attn[fuzz]'`; Linux).

    python tests/fuzz/rest_json.py --seconds 180

The first byte of an input chooses model and call, the rest is the body. It must be answered without blaming
the server, every answer must be JSON, and Python's JSON scanner must agree with the strict parser.
"""

import atheris

from keras_attn.quiet import import_tensorflow

import_tensorflow()

with atheris.instrument_imports(include=["keras_attn.serving"]):
    from running import MODELS, fuzz

    from keras_attn.serving.errors import ServingError
    from keras_attn.serving.json.parser import parse_json
    from keras_attn.serving.json.strict_parser import JsonSyntaxError, parse_strict
    from keras_attn.serving.rest import handler  # noqa: F401
    from keras_attn.serving.rest.handler import RestHandler

CALLS = ("predict", "classify", "regress")
SEEDS = (
    b'\x00{"instances": [1, 2.5]}',
    b'\x03{"inputs": {"a": [[1, 2, 3]], "b": [2]}}',
    b'\x03{"instances": [{"a": [1, 2, 3], "b": -Infinity}]}',
    b'\x06{"instances": ["\\ud83d\\ude00", {"b64": "AA=="}]}',
    b'\x0f{"signature_name": "count", "inputs": [[1, 18446744073709551616]]}',
    b'\x13{"signature_name": "classify", "context": {"x": 1e400}, "examples": [{"x": 1.0}, {"x": [2]}]}',
    b'\x14{"examples": [{"x": {"b64": "AA"}}, {}, {"x": []}]}',
)


def make_target(registry):
    handler = RestHandler(registry)

    def target(data):
        if not data:
            return
        model, call = divmod(data[0] % (len(MODELS) * len(CALLS)), len(CALLS))
        body = data[1:]
        if body:
            check_parsers(body)
        reply = handler.handle("POST", f"/v1/models/{MODELS[model]}:{CALLS[call]}", body)
        if reply.status >= 500 and reply.status != 501:
            raise AssertionError(f"{reply.status}: {reply.body!r}")
        parse_json(reply.body)

    return target


def check_parsers(body):
    verdicts = []
    for parse in (parse_json, parse_strict):
        try:
            verdicts.append(repr(as_parsed(parse(body))))
        except (ServingError, JsonSyntaxError):
            verdicts.append("refused")
        except RecursionError:  # `as_parsed` and `repr` of what is nested deeply
            return
    if verdicts[0] != verdicts[1]:
        raise AssertionError(f"The parsers do not agree: {verdicts}")


def as_parsed(value):
    """Whole numbers beyond 64 bits count as decimal ones: what reads them looks at their size."""
    if isinstance(value, list):
        return [as_parsed(item) for item in value]
    if isinstance(value, dict):
        return {key: as_parsed(item) for key, item in value.items()}
    is_wide = isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64
    return float(value) if is_wide else value


if __name__ == "__main__":
    fuzz(make_target, SEEDS, __doc__)
