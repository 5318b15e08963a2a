"""Contract of models, whatever their family: rows of all families run through the same tests.

The rows are in `tests/model_rows.py`; without one, `test_every_family_has_a_row` fails. JAX compiles each row
anew, and runs only those that `make test` runs.
"""

import copy
import inspect
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

from keras_attn import models as public
from keras_attn.families.registry import family_class

from .. import bounds
from ..few import few
from ..lazily import Lazily
from ..model_rows import ROWS, SOURCE, TARGET, TERMS, B, S, T, V, family_of, make, serialized_again

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
TENSORFLOW_ONLY = pytest.mark.skipif(
    not ON_TENSORFLOW, reason="in a graph of TensorFlow, or shown for layers on JAX"
)
INPUTS = {"source": SOURCE, "target": TARGET}
FAMILIES = [name for name in ROWS if "/" not in name]
# Base classes, wrappers and functions.
OTHERS = {"ScheduledSampling", "Seq2SeqModel", "TeacherForcingSchedule", "register_family"}
# Each family, and what goes another way through its layers.
KEPT = (
    "recurrent",
    "recurrent/no_attention_copy",
    "recurrent/luong_local",
    "recurrent/coverage",
    "convolutional/some_attention",
    "transformer/learned",
    "transformer/t5",
    "language_model",
)


def some_of_every_family(names):
    """The names, and the plain row of each family that none of them is of."""
    return [*names, *(family for family in FAMILIES if family not in map(family_of, names))]


def rows(*names):
    """Runs a test with the rows that are named, and with every family."""
    return pytest.mark.parametrize("name", some_of_every_family(names))


def every_row(*kept):
    """Runs a test with the kept rows and every family; with all tests, on TensorFlow, with the rest."""
    values = few(ROWS, *some_of_every_family(kept))
    return pytest.mark.parametrize("name", values if ON_TENSORFLOW else [x for x in values if not x.marks])


@pytest.fixture(scope="module")
def models():
    return Lazily(make)


@pytest.fixture(scope="module")
def logits(models):
    """The logits of each row, computed once."""
    return Lazily(lambda name: call(models[name]))


TRACED = {}


def call(model, source=SOURCE, target=TARGET):
    """The logits; where layers loop over the target, traced once a model, for eagerly that is slow."""
    inputs = {"source": source, "target": target}
    if ON_TENSORFLOW and isinstance(model, public.RecurrentSeq2Seq):
        import tensorflow as tf

        ids = tf.TensorSpec([None, None], tf.int32)
        if id(model) not in TRACED:
            traced = tf.function(model, input_signature=[dict.fromkeys(inputs, ids)], autograph=False)
            TRACED[id(model)] = model, traced  # a model that is kept keeps its id
        return TRACED[id(model)][1](inputs).numpy()
    return numbers(model(inputs))


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def assert_close(one, other, name):
    bounds.assert_close(numbers(one), numbers(other), TERMS[family_of(name)])


def column(target, position):
    """The tokens `[B, 1]` of a step."""
    return ops.convert_to_tensor(target[:, position : position + 1])


def test_every_family_has_a_row():
    named = {family_class(name).__name__ for name in FAMILIES}
    assert named == set(public.__all__) - OTHERS


@every_row(*KEPT, "recurrent/luong_2015", "transformer/pre_norm", "transformer/shaw", "transformer/grouped",
      "transformer/windowed", "transformer/all_shared", "language_model/alibi", "language_model/windowed",
      "language_model/own_output")  # fmt: skip
def test_step_by_step_equals_the_full_pass(models, logits, name):
    model = models[name]
    assert logits[name].shape == (B, T, V)
    assert logits[name].dtype == np.float32
    first, memory = model.start(SOURCE)
    state = first
    for position in range(T):
        step = model.step(column(TARGET, position), ops.convert_to_tensor(position), state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[name][:, position], name)
        check_alignment(numbers(step.alignment), name)
    for before, after in zip(keras.tree.flatten(first), keras.tree.flatten(state), strict=True):
        assert before.dtype == after.dtype
        assert len(before.shape) == len(after.shape)


def check_alignment(alignment, name):
    """Weights on the source: of sum 1, but for those on other places, and nothing without attention."""
    assert alignment.shape == (B, 1, S)
    assert not alignment[:, 0][SOURCE == 0].any()
    total = alignment.sum(-1)
    if "no_attention" in name:
        assert not total.any()
    elif name == "recurrent/luong_local" or family_of(name) == "language_model":
        assert (total <= 1 + 1e-5).all()
        assert (total > 0).all() or "windowed" in name  # the prompt may be out of sight
    else:
        np.testing.assert_allclose(total, 1, rtol=1e-5)


@rows("recurrent/luong_2015", "convolutional/some_attention", "transformer", "language_model/learned")
def test_hypotheses_of_a_row_do_not_meet(models, name, rng):
    """K = 2 hypotheses with states of their own equal each of them alone, against one memory."""
    model = models[name]
    state, memory = model.start(SOURCE)
    first, second = rng.integers(4, V, (2, B, 2)).astype("int32")
    doubled = keras.tree.map_structure(lambda leaf: ops.repeat(leaf, 2, axis=1), state)
    together = model.step(second, 1, model.step(first, 0, doubled, memory).state, memory)
    for k in range(2):
        alone = model.step(first[:, k : k + 1], 0, state, memory)
        alone = model.step(second[:, k : k + 1], 1, alone.state, memory)
        assert_close(together.logits[:, k], alone.logits[:, 0], name)
        assert_close(together.alignment[:, k], alone.alignment[:, 0], name)


@every_row(*KEPT)
def test_padding_changes_nothing(models, logits, name):
    more = ((0, 0), (0, 5))
    assert_close(call(models[name], np.pad(SOURCE, more)), logits[name], name)
    assert_close(call(models[name], target=np.pad(TARGET, more))[:, :T], logits[name], name)


@every_row(*KEPT)
def test_future_tokens_change_nothing(models, logits, name):
    for position in (0, T - 2):
        changed = TARGET.copy()
        changed[:, position + 1 :] = (changed[:, position + 1 :] + 5) % V
        other = call(models[name], target=changed)
        assert_close(other[:, : position + 1], logits[name][:, : position + 1], name)
        assert not np.allclose(other[:, position + 1], logits[name][:, position + 1])


@rows(*KEPT)
def test_permuting_the_batch_permutes_the_result(models, logits, name):
    order = [2, 0, 1]
    assert_close(call(models[name], SOURCE[order], TARGET[order]), logits[name][order], name)


@rows(*KEPT)
def test_every_source_token_matters_to_its_row_alone(models, logits, name):
    for place in range(S):
        changed = SOURCE.copy()
        changed[0, place] = 18
        other = call(models[name], changed)
        assert not np.allclose(other[0], logits[name][0], atol=1e-6)
        assert_close(other[1:], logits[name][1:], name)
    if name != "transformer/no_positions":  # attention alone knows no order
        assert not np.allclose(call(models[name], SOURCE[:, ::-1])[0], logits[name][0])


@pytest.mark.parametrize("name", ["transformer", "language_model"])
def test_several_tokens_in_one_pass_and_on_from_a_part_of_them(models, logits, name):
    model = models[name]
    state, memory = model.start(SOURCE)
    extension = model.extend(TARGET[:, None], 0, state, memory)
    assert_close(extension.logits[:, 0], logits[name], name)
    state = model.rewind(extension.extended, 2)
    assert_close(model.step(column(TARGET, 2), 2, state, memory).logits[:, 0], logits[name][:, 2], name)


@rows(*KEPT)
def test_encoded_states_and_their_mask(models, name):
    """One state a place, of a width of its own, which padding does not change."""
    model = models[name]
    states, mask = (numbers(x) for x in model.encode(SOURCE))
    places = 1 if "no_attention" in name else S
    assert states.shape[:2] == mask.shape == (B, places)
    assert states.dtype == np.float32
    np.testing.assert_array_equal(mask, SOURCE != 0 if places == S else np.ones((B, 1), bool))
    padded, longer = (numbers(x) for x in model.encode(np.pad(SOURCE, ((0, 0), (0, 2)))))
    assert_close(padded[:, :places][mask], states[mask], name)
    assert not longer[:, places:].any()
    alone, _ = model.encode(SOURCE[1:2, :2])
    assert_close(alone[0], states[1, mask[1]], name)


@rows("recurrent/luong_2015", "recurrent/coverage", "convolutional/some_attention", "transformer/t5",
      "language_model/own_output")  # fmt: skip
def test_configuration_is_complete_and_makes_the_same_model(models, name):
    model = models[name]
    parameters = inspect.signature(type(model)).parameters.values()
    config = model.get_config()
    assert {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} <= set(config)
    before = copy.deepcopy(config)
    type(model).from_config(config)
    assert config == before
    written = keras.saving.serialize_keras_object(model)
    assert written["registered_name"] == f"keras_attn>{type(model).__name__}"
    again = serialized_again(model)
    assert keras.saving.serialize_keras_object(again) == json.loads(json.dumps(written)) == written
    np.testing.assert_array_equal(numbers(again(INPUTS)), numbers(model(INPUTS)))


@TENSORFLOW_ONLY
@rows("recurrent/no_attention_copy", "recurrent/coverage", "convolutional/some_attention", "transformer/t5",
      "language_model/learned")  # fmt: skip
def test_saved_models_are_bit_equal_in_a_fresh_process(models, name, predict_in_fresh_process):
    (received,) = predict_in_fresh_process(models[name], INPUTS)
    np.testing.assert_array_equal(received, models[name](INPUTS))


@rows("recurrent", "convolutional", "transformer/all_shared", "language_model")
def test_a_file_holds_each_weight_once_and_which_layers_are_frozen(name, tmp_path):
    model = make(name)
    layers = [layer for layer in model.layers if layer.weights]
    for layer in layers[1:3]:
        layer.trainable = False
    assert 0 < len(model.trainable_weights) < len(model.weights)
    model.save(tmp_path / "model.keras")
    sizes = []
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    assert sorted(sizes) == sorted(int(np.prod(weight.shape)) for weight in model.weights)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert [layer.trainable for layer in loaded.layers] == [layer.trainable for layer in model.layers]
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


@rows()
def test_dropout_acts_in_training_alone(name):
    model = make(name, dropout=0.5)
    np.testing.assert_array_equal(numbers(model(INPUTS)), numbers(model(INPUTS)))
    one, other = (numbers(model(INPUTS, training=True)) for _ in range(2))
    assert not np.allclose(one, other)


@TENSORFLOW_ONLY
@pytest.mark.parametrize("policy", few(["mixed_bfloat16", "mixed_float16"], "mixed_bfloat16"))
@rows("recurrent/luong_2015", "convolutional/all_widths", "transformer", "language_model")
def test_mixed_precision(models, logits, name, policy):
    mixed = make(name, dtype=policy)
    mixed.set_weights(models[name].get_weights())
    assert keras.config.dtype_policy().name == "float32"
    assert mixed.get_config()["dtype"] == policy
    again = type(mixed).from_config(mixed.get_config())
    assert {layer.dtype_policy.name for layer in again.layers if layer.weights} <= {policy, "float32"}
    low = call(mixed)
    assert low.dtype == np.float32
    assert np.corrcoef(low.reshape(-1), logits[name].reshape(-1))[0, 1] > 0.99
    state, memory = mixed.start(SOURCE)
    step = mixed.step(column(TARGET, 0), 0, state, memory)
    dtypes = {keras.backend.standardize_dtype(leaf.dtype) for leaf in keras.tree.flatten([state, step.state])}
    assert dtypes == {policy.removeprefix("mixed_")}
    np.testing.assert_allclose(numbers(step.logits)[:, 0], low[:, 0], atol=0.3)


@TENSORFLOW_ONLY
@pytest.mark.parametrize("name", ["convolutional", "transformer/t5", "language_model"])
def test_compiled_by_xla(models, logits, name):
    import tensorflow as tf

    compiled = tf.function(models[name], jit_compile=True, autograph=False)
    assert_close(compiled(INPUTS), logits[name], name)


@TENSORFLOW_ONLY
@rows("recurrent/luong_2015", "convolutional/some_attention", "transformer/grouped", "language_model/rotary")
def test_greedy_in_a_graph_is_greedy_of_the_rows(models, name):
    import tensorflow as tf

    from keras_attn.decoding import decode

    run = tf.function(
        lambda source: decode(models[name], source, start_id=1, end_id=2, max_length=5).tokens,
        input_signature=[tf.TensorSpec([None, None], tf.int32)],
        autograph=False,
    )
    together = run(SOURCE).numpy()
    for row in range(B):
        alone = run(SOURCE[row : row + 1, : np.count_nonzero(SOURCE[row])]).numpy()
        np.testing.assert_array_equal(alone[0], together[row, :, : alone.shape[-1]])
        assert not together[row, :, alone.shape[-1] :].any()


@TENSORFLOW_ONLY
@pytest.mark.parametrize("name", few(FAMILIES, "convolutional"))
def test_an_export_answers_as_the_model_does(name, tokenizers, tmp_path, few_signatures):
    import tensorflow as tf

    from keras_attn import TextToText
    from keras_attn.export import export_saved_model

    tokenizer = tokenizers.characters
    model = make(name, tokenizer.vocabulary_size, tokenizer.vocabulary_size, dropout=0.0)
    text_to_text = TextToText(model, tokenizer, tokenizer, max_length=5, max_source_length=9)
    with few_signatures():
        folder = export_saved_model(text_to_text, tmp_path / "export")
    texts = ["Hund", ""]
    served = tf.saved_model.load(str(folder)).signatures["serving_default"](text=tf.constant(texts))
    assert [text.decode() for text in served["text"].numpy()] == text_to_text(texts)
