"""JSON lines: columns by name, inside of each other, by number; what is refused."""

import gzip
import json

import pytest

from keras_attn.training.data.pairs import read_pairs
from keras_attn.training.data.text_files import DataError
from keras_attn.training.recipe.recipe import PairsSpec


@pytest.fixture
def read(tmp_path):
    """Reads what is written to `a.jsonl` with columns q and a, or others."""

    def write_and_read(content, source="q", target="a", path="a.jsonl"):
        data = content.encode("utf-8")
        (tmp_path / path).write_bytes(gzip.compress(data) if path.endswith(".gz") else data)
        spec = PairsSpec(path=path, source_column=source, target_column=target)
        return list(read_pairs(spec, tmp_path))

    return write_and_read


def test_columns_by_name(read):
    lines = [{"q": "안녕", "a": "hello", "id": 3}, {"a": "x\ny", "q": "\u2028 \U0001f642"}]
    content = "\n\n".join(json.dumps(line) for line in lines) + "\r\n"
    assert read(content) == [("안녕", "hello"), ("\u2028 \U0001f642", "x\ny")]


def test_gzip(read):
    assert read('{"q": "b", "a": "c"}', path="a.JSONL.gz") == [("b", "c")]


def test_columns_inside_of_each_other(read):
    content = '{"translation": {"de": "Hund", "en.x": "dog"}, "translation.fr": "chien"}'
    assert read(content, "translation.de", "translation.en.x") == [("Hund", "dog")]
    assert read(content, "translation.fr", "translation.de") == [("chien", "Hund")]


def test_columns_by_number(read):
    assert read('["b", 7, "c"]\n["d", null, "e"]', 0, 2) == [("b", "c"), ("d", "e")]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (
            '{"q": "b", "a": "c"}\n{"q": "b"',
            {},
            r"Line 2 of .*a.jsonl` is not valid JSON \(.*\). Expected an object",
        ),
        ('{"q": "b", "A": "c"}', {}, "Line 1 .* no column 'a', which `target_column` .* 'q', 'A'. Received"),
        ('{"qs": "b", "a": "c"}', {}, "no column 'q', which `source_column` names.* Did you mean 'qs'"),
        ('{"t": {"de": "b"}, "a": "c"}', {"source": "t.en"}, "one of 't.de', 'a'.* Did you mean 't.de'"),
        ('{"t": "b", "a": "c"}', {"source": "t.de"}, "no column 't.de'"),
        ('{"q": 7, "a": "c"}', {}, "no text in 'q', .* Expected a string of UTF-8. Received: '7'"),
        ('{"q": null, "a": "c"}', {}, "no text in 'q'.* Received: 'None'"),
        ('["b", "c"]', {}, "no column 'q', .* Expected one of an object with names. Received"),
        ('["b"]', {"source": 0, "target": 1}, "no column 1, which `target_column` .* array of at least 2"),
        ('{"q": "b"}', {"source": 0}, "no column 0, .* Name the column where it has a name"),
        (r'{"q": "\ud83d", "a": "c"}', {}, "Line 1 .* holds half a character.* Mend or drop the line"),
    ],
)
def test_refused(read, content, columns, message):
    with pytest.raises(DataError, match=message):
        read(content, **columns)


def test_a_line_that_is_nested_deeply_is_named(read):
    with pytest.raises(DataError, match=r"Line 2 of .*a\.jsonl` is not valid JSON \(nested too deeply\)"):
        read('{"q": "a", "a": "b"}\n{"q": "a", "a": ' + "[" * 100_000 + "]" * 100_000 + "}")


def test_numbers_of_any_length_in_other_columns(read):
    assert read('{"q": "a", "a": "b", "id": ' + "1" * 5_000 + "}") == [("a", "b")]
    with pytest.raises(DataError, match=r"Line 1 .* has no text in 'a'.* Received: '17'"):
        read('{"q": "a", "a": 17}')
