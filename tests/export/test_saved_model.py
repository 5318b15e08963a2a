"""The exported SavedModel: the same answers as eagerly, on the path that TensorFlow Serving takes."""

import base64
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from keras_attn import TextToText
from keras_attn.export import UnservableOpError, export
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
def served(exported):
    """What a Session in a fresh process answers to `BATCHES`."""
    script = Path(__file__).with_name("session_client.py")
    batches = [[base64.b64encode(text).decode() for text in batch] for batch in BATCHES]
    request = json.dumps({"path": str(exported), "batches": batches})
    done = subprocess.run(
        [sys.executable, script], input=request, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        {name: {key: arrayed(x) for key, x in outputs.items()} for name, outputs in answer.items()}
        for answer in json.loads(done.stdout)
    ]


def arrayed(value):
    if isinstance(value, dict):
        texts = [base64.b64decode(text) for text in value["base64"]]
        return np.array(texts, object).reshape(value["shape"])
    return np.array(value, np.float32)


def assert_same(received, expected):
    assert received.keys() == expected.keys()
    for name, tensor in expected.items():
        if tensor.dtype == tf.string:
            np.testing.assert_array_equal(received[name], tensor.numpy())
        else:
            array = np.reshape(received[name], tensor.shape)  # JSON has lost the shape of empty ones
            np.testing.assert_allclose(array, tensor, rtol=1e-5, atol=1e-5, err_msg=name)


def test_a_session_without_xla_answers_as_the_eager_model_does(served, text_to_text):
    assert len(served) == len(BATCHES)
    for batch, answer in zip(BATCHES, served, strict=True):
        text = tf.constant(batch, tf.string)
        assert_same(answer["serving_default"], text_to_text.translate(text))
        assert_same(answer["align"], text_to_text.align(text))


def test_the_answers_are_not_trivial(served):
    everything = served[len(TEXTS)]["serving_default"]
    assert len(set(everything["text"])) > 3
    assert everything["score"][TEXTS.index("")] == 0
    assert (np.delete(everything["score"], TEXTS.index("")) < 0).all()


def test_tensorflows_own_loader_answers_as_the_eager_model_does(exported, text_to_text):
    signatures = tf.saved_model.load(str(exported)).signatures
    for batch in BATCHES:
        text = tf.constant(batch, tf.string)
        assert_same(signatures["serving_default"](text=text), text_to_text.translate(text))
        assert_same(signatures["align"](text=text), text_to_text.align(text))


def test_too_long_text_is_an_invalid_argument(exported):
    run = tf.saved_model.load(str(exported)).signatures["serving_default"]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="`text` is too long: expected at most 67 tokens"
    ):
        run(text=tf.constant(["漢x" * 67]))


def test_signatures(exported):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    (meta_graph,) = saved.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert set(meta_graph.signature_def) == {"serving_default", "align", "__saved_model_init_op"}

    def described(infos):
        return {
            name: (tf.dtypes.as_dtype(info.dtype).name, tf.TensorShape(info.tensor_shape).as_list())
            for name, info in infos.items()
        }

    text = {"text": ("string", [None])}
    serving, align = (meta_graph.signature_def[name] for name in ("serving_default", "align"))
    assert described(serving.inputs) == described(align.inputs) == text
    assert described(serving.outputs) == {**text, "score": ("float32", [None])}
    assert described(align.outputs) == {
        "source_pieces": ("string", [None, None]),
        "target_pieces": ("string", [None, None]),
        "alignment": ("float32", [None, None, None]),
    }


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
    names = {path.name for path in exported.iterdir()}
    assert (
        {"saved_model.pb", "variables"}
        <= names
        <= {"saved_model.pb", "variables", "assets", "fingerprint.pb"}
    )


def test_versions_count_up_and_are_refused_twice(tokenizers, tiny_model, tmp_path):
    tokenizer = tokenizers.characters
    text_to_text = TextToText(tiny_model(tokenizer.vocabulary_size), tokenizer, tokenizer, 3)
    assert export(text_to_text, tmp_path / "tiny", version=7) == tmp_path / "tiny" / "7"
    assert export(text_to_text, str(tmp_path / "tiny")) == tmp_path / "tiny" / "8"
    with pytest.raises(FileExistsError, match="Version 7 exists already"):
        export(text_to_text, tmp_path / "tiny", version=7)


def test_a_model_that_cannot_be_served_leaves_nothing(tokenizers, tmp_path):
    class Compiled:
        """A decoder whose step asks for XLA."""

        weights = ()

        def start(self, source):
            return [tf.zeros([tf.shape(source)[0], 1, 1])], source

        def step(self, tokens, position, state, memory):
            logits = tf.function(lambda x: tf.one_hot(x + 2, 11), jit_compile=True)(tokens)
            return Step(logits, state, tf.ones([tf.shape(memory)[0], 1, tf.shape(memory)[1]]))

    text_to_text = TextToText(Compiled(), tokenizers.characters, tokenizers.characters, 3)
    with pytest.raises(UnservableOpError, match="asks for XLA"):
        export(text_to_text, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
