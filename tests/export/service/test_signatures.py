"""The signatures of every family: their shapes, their defaults, and answers that no batching changes."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn import TextToText
from keras_attn.export import export_saved_model
from keras_attn.export.service.service import Service
from keras_attn.export.service.signatures import INPUTS, signature_defaults, signature_names
from keras_attn.export.verification.comparison import as_arrays, differences, rows_of

OUTPUTS = {
    "serving_default": {"text": 1, "score": 1},
    "n_best": {"text": 2, "score": 2, "log_prob": 2, "length": 2, "finished": 2},
    "sample": {"text": 1, "log_prob": 1, "length": 1, "finished": 1},
    "score": {"log_prob": 1, "perplexity": 1, "length": 1, "token_log_probs": 2, "target_pieces": 2},
    "align": {"source_pieces": 2, "target_pieces": 2, "alignment": 3},
    "decode_ids": {"ids": 2, "lengths": 1, "score": 1, "finished": 1},
    "encode": {"states": 3, "lengths": 1},
    "stream": {"text": 1, "score": 1},
    "stream_events": {"stream": 1, "length": 1, "text": 1, "last": 1},
}
ROWS = list(range(7))
BATCHES = [[0], [2], [1, 5, 5], ROWS[::-1], []]
OPTIONAL = ["n_best", "sample", "stream", "align", "decode_ids"]
REST_CARRIES = {"string", "float32", "int32", "bool", "int64"}


@pytest.fixture(scope="module")
def signature_defs(family):
    saved = saved_model_pb2.SavedModel.FromString((family.path / "saved_model.pb").read_bytes())
    return {k: v for k, v in saved.meta_graphs[0].signature_def.items() if not k.startswith("__")}


def test_every_family_has_all_signatures_with_the_batch_first(signature_defs):
    assert signature_defs.keys() == OUTPUTS.keys() == INPUTS.keys()
    for name, signature in signature_defs.items():
        assert {key: len(info.tensor_shape.dim) for key, info in signature.outputs.items()} == OUTPUTS[name]
        assert signature.inputs.keys() == INPUTS[name].keys()
        for info in (*signature.inputs.values(), *signature.outputs.values()):
            assert info.tensor_shape.dim[0].size == -1
            assert info.WhichOneof("encoding") == "name"
            assert tf.dtypes.as_dtype(info.dtype).name in REST_CARRIES


@pytest.mark.parametrize("name", INPUTS)
def test_the_docstring_of_the_export_has_inputs_and_outputs(name):
    inputs, outputs = ", ".join(INPUTS[name]), ", ".join(OUTPUTS[name])
    assert re.search(rf"\n    {name} +{inputs}\s+-> {outputs}\b", export_saved_model.__doc__)


def test_defaults_are_one_value_for_all_rows(family, signature_defs):
    for name, signature in signature_defs.items():
        expected = signature_defaults(family.service, name)
        assert {k: tf.make_ndarray(v).tolist() for k, v in signature.defaults.items()} == {
            key: tensor.numpy().tolist() for key, tensor in expected.items()
        }
        assert all(tensor.shape == (1,) for tensor in expected.values())
        assert set(INPUTS[name]) - set(expected) <= {"text", "target", "ids", "lengths", "wait"}
    assert not signature_defs["score"].defaults
    default = signature_defs["n_best"].defaults["length_penalty"].float_val[0]
    assert default == pytest.approx(0.7 if family.name == "transformer" else 0)


@pytest.fixture(scope="module")
def eager(family, request_of):
    """What every signature answers to all rows, without any graph."""
    requests = {name: request_of(name, ROWS) for name in INPUTS}
    return {name: as_arrays(family.service.answer(name, inputs)) for name, inputs in requests.items()}


@pytest.fixture(scope="module")
def session(family, request_of, ask_session):
    """What a Session answers to `BATCHES`, to requests without options, and to ids that are padded."""
    requests = [(name, request_of(name, rows)) for name in INPUTS for rows in BATCHES]
    requests += [(name, optionless(request_of(name, [0, 3, 5]))) for name in OPTIONAL]
    ids = request_of("decode_ids", ROWS)
    for filling in (ids["ids"][0, 0], 0, 2, -7, 99_999):  # the first element is what TensorFlow Serving takes
        wide = np.pad(ids["ids"], [(0, 0), (0, 5)], constant_values=filling)
        requests.append(("decode_ids", ids | {"ids": wide}))
    answers = ask_session(family.path, requests)
    assert all(isinstance(answer, dict) for answer in answers), answers
    answers = iter(list(map(as_arrays, answers)))
    batches = {name: [next(answers) for _ in BATCHES] for name in INPUTS}
    return SimpleNamespace(
        batches=batches, optionless={name: next(answers) for name in OPTIONAL}, padded=list(answers)
    )


def optionless(inputs):
    return {key: value for key, value in inputs.items() if key in {"text", "ids", "lengths"}}


@pytest.mark.parametrize("name", INPUTS)
def test_a_session_without_xla_answers_as_the_eager_model_whatever_the_batch(family, eager, session, name):
    for rows, answer in zip(BATCHES, session.batches[name], strict=True):
        assert differences(rows_of(eager[name], rows), answer, family.tolerance) == [], rows


@pytest.mark.parametrize("name", OPTIONAL)
def test_options_that_are_left_out_take_their_defaults_for_every_row(family, request_of, session, name):
    defaults = signature_defaults(family.service, name)
    spelt = {key: np.repeat(value.numpy(), 3) for key, value in defaults.items()}
    answer = family.service.answer(name, spelt | optionless(request_of(name, [0, 3, 5])))
    assert differences(as_arrays(answer), session.optionless[name], family.tolerance) == []


def test_ids_are_masked_by_their_lengths_alone(family, eager, session):
    """A server that joins requests pads with each tensor's own first element."""
    assert len(session.padded) == 5
    for answer in session.padded:
        assert differences(eager["decode_ids"], answer, family.tolerance) == []


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "stream_events"])
def test_answers_depend_on_what_is_asked(eager, name):
    """The comparisons above compare something."""
    for key, array in eager[name].items():
        assert len({str(row) for row in array.tolist()}) > 1, key


class Constant:
    """A decoder that is of no family."""

    def start(self, source):
        return [tf.zeros([tf.shape(source)[0], 1, 1])], source

    def step(self, tokens, position, state, memory):
        from keras_attn.protocols import Step

        logits = tf.one_hot(tokens * 0 + 2, 11)
        return Step(logits, state, tf.ones([tf.shape(memory)[0], 1, tf.shape(memory)[1]]))


def test_a_decoder_of_no_family_has_no_signature_for_its_encoder(tokenizers):
    service = Service(TextToText(Constant(), tokenizers.characters, tokenizers.characters, max_length=3))
    assert set(INPUTS) - set(signature_names(service)) == {"encode"}
