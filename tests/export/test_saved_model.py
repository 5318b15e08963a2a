"""The exported SavedModel: the same answers as eagerly, on the path that TensorFlow Serving takes."""

import random

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import UnservableOpError, VerificationError, export_saved_model
from keras_attn.export.verification.backends import SessionBackend
from keras_attn.export.verification.comparison import as_arrays, differences
from keras_attn.export.verification.tolerance import tolerance_of
from keras_attn.protocols import Step

TEXTS = [
    "안녕하세요 세계",
    "Grüße aus Köln!",
    "",
    "ein Hund läuft über die Straße",
    "漢字 🙂",
    "10\u202f000",
    "x",
]
BATCHES = [
    [text.encode() for text in batch]
    for batch in (
        *([text] for text in TEXTS),
        TEXTS,
        TEXTS[::-1],
        random.Random(3).choices(TEXTS, k=17),
        [],
        [""],
        ["", ""],
    )
] + [[b"\xff\xfe", b"a\xc3"], [b"\xed\xa0\x80", b"", "Köln".encode()]]


@pytest.fixture(scope="module")
def served(exported, ask_session):
    """What a Session in a fresh process answers to `BATCHES`, by signature."""
    names = ("serving_default", "align")
    requests = [(name, {"text": np.array(batch, object)}) for batch in BATCHES for name in names]
    answers = iter(ask_session(exported, requests))
    return [{name: as_arrays(next(answers)) for name in names} for _ in BATCHES]


@pytest.fixture(scope="module")
def tolerance(text_to_text):
    return tolerance_of(text_to_text, [text for batch in BATCHES for text in batch])


@pytest.fixture(scope="module")
def eager(text_to_text):
    """What the model itself answers to `BATCHES`, by signature."""
    texts = [tf.constant(batch, tf.string) for batch in BATCHES]
    return [
        {
            "serving_default": as_arrays(text_to_text.translate(text)),
            "align": as_arrays(text_to_text.align(text)),
        }
        for text in texts
    ]


@pytest.fixture(scope="module")
def loaded(exported):
    """The export in TensorFlow's own loader."""
    return tf.saved_model.load(str(exported))


def test_a_session_without_xla_answers_as_the_eager_model_does(served, eager, tolerance):
    assert len(served) == len(BATCHES)
    for expected, answer in zip(eager, served, strict=True):
        for name in ("serving_default", "align"):
            assert differences(expected[name], answer[name], tolerance) == []


def test_the_answers_are_not_trivial(served):
    everything = served[len(TEXTS)]["serving_default"]
    assert len(set(everything["text"])) > 3
    assert everything["score"][TEXTS.index("")] == 0
    assert (np.delete(everything["score"], TEXTS.index("")) < 0).all()


def test_tensorflows_own_loader_answers_as_the_eager_model_does(loaded, eager, tolerance):
    signatures = loaded.signatures
    for batch, expected in zip(BATCHES, eager, strict=True):
        text, none = tf.constant(batch, tf.string), tf.constant([""])
        translated, aligned = (
            signatures["serving_default"](text=text),
            signatures["align"](text=text, target=none),
        )
        assert differences(expected["serving_default"], as_arrays(translated), tolerance) == []
        assert differences(expected["align"], as_arrays(aligned), tolerance) == []


def test_too_long_text_is_an_invalid_argument(loaded):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="`text` is too long: expected at most 67 tokens"
    ):
        loaded.signatures["serving_default"](text=tf.constant(["漢x" * 67]))


def test_each_weight_is_stored_once(exported, text_to_text):
    weights = text_to_text.model.weights
    stored = {
        name: shape
        for name, shape in tf.train.list_variables(str(exported / "variables" / "variables"))
        if not name.startswith("_CHECKPOINTABLE")
    }
    assert sorted(stored.values()) == sorted(list(weight.shape) for weight in weights)
    data = sum(path.stat().st_size for path in (exported / "variables").glob("*.data-*"))
    num_bytes = 4 * sum(int(np.prod(weight.shape)) for weight in weights)
    assert num_bytes <= data < 1.5 * num_bytes + 20_000  # the rest is the checkpoint's table of objects


def test_nothing_but_the_version_is_left(exported):
    base = exported.parent
    assert exported.name == "1"
    assert [path.name for path in base.iterdir()] == ["1"]
    assert [path.name for path in base.parent.iterdir()] == [base.name]
    names = {path.name for path in exported.iterdir()} - {"assets"}  # only some tokenizers have any
    assert names == {
        "saved_model.pb",
        "variables",
        "assets.extra",
        "batching_params.pbtxt",
    }
    assert exported.stat().st_mode & 0o777 == 0o755


@pytest.mark.exhaustive
def test_versions_count_up_and_are_refused_twice(tokenizers, tiny_model, tmp_path, two_signatures):
    tokenizer = tokenizers.characters
    text_to_text = TextToText(tiny_model(tokenizer.vocabulary_size), tokenizer, tokenizer, max_length=3)
    (tmp_path / "tiny" / "7").mkdir(parents=True)
    assert export_saved_model(text_to_text, str(tmp_path / "tiny")) == tmp_path / "tiny" / "8"
    for version in (7, 8):
        with pytest.raises(FileExistsError, match=f"Version {version} exists already"):
            export_saved_model(text_to_text, tmp_path / "tiny", version=version)


def test_a_model_that_cannot_be_served_leaves_nothing(tokenizers, tmp_path):
    class Compiled:
        """A decoder whose step asks for XLA."""

        weights = ()

        def start(self, source):
            return [tf.zeros([tf.shape(source)[0], 1, 1])], source

        def step(self, tokens, position, state, memory):
            logits = tf.function(lambda x: tf.one_hot(x + 2, 11), jit_compile=True)(tokens)
            return Step(logits, state, tf.ones([tf.shape(memory)[0], 1, tf.shape(memory)[1]]))

    text_to_text = TextToText(Compiled(), tokenizers.characters, tokenizers.characters, max_length=3)
    with pytest.raises(UnservableOpError, match="asks for XLA"):
        export_saved_model(text_to_text, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_answers_otherwise_than_the_model_leaves_nothing(
    tokenizers, tiny_model, tmp_path, monkeypatch, two_signatures
):
    """As where variables are not found again: the session answers from other numbers."""
    tokenizer = tokenizers.characters
    text_to_text = TextToText(tiny_model(tokenizer.vocabulary_size), tokenizer, tokenizer, max_length=3)
    honest = SessionBackend.ask

    def wrong(self, signature, inputs):
        answer = honest(self, signature, inputs)
        key = "log_prob" if signature == "score" else "score"
        return answer | {key: answer[key] - 1e-2}

    monkeypatch.setattr(SessionBackend, "ask", wrong)
    with pytest.raises(VerificationError, match=r"not what it should be. Session: score, rows .*log_prob"):
        export_saved_model(text_to_text, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
