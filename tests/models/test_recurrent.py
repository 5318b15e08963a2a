"""RecurrentSeq2Seq: the invariants of every decoder, saving, mixed precision."""

import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import decode
from keras_attn.models import RecurrentSeq2Seq

from .. import bounds

V = 23
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4], [1, 10, 3, 3, 22], [1, 21, 4, 0, 0]], np.int32)
B, T = TARGET.shape
TERMS = T * (5 + 7 + 2 * 7 + 3 + T)  # embedding, units, both directions, attention


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(19, V)


def call(model, source=SOURCE, target=TARGET):
    return model({"source": source, "target": target}).numpy()


def assert_close(one, other):
    bounds.assert_close(one, other, TERMS)


def test_shapes(model):
    logits = call(model)
    assert logits.shape == (B, T, V)
    assert logits.dtype == np.float32
    assert model.output_shape == (None, None, V)


def test_step_by_step_equals_the_full_pass(model):
    logits = call(model)
    state, memory = model.start(SOURCE)
    for position in range(T):
        step = model.step(TARGET[:, position : position + 1], position, state, memory)
        state = step.state
        assert_close(step.logits[:, 0], logits[:, position])
        assert step.alignment.shape == (B, 1, SOURCE.shape[1])
        np.testing.assert_allclose(np.sum(step.alignment, axis=-1), 1, rtol=1e-5)
        assert (step.alignment.numpy()[:, 0][SOURCE == 0] == 0).all()


def test_hypotheses_of_a_row_do_not_meet(model, rng):
    """K = 2 hypotheses with states of their own equal each of them alone, against one memory."""
    _, memory = model.start(SOURCE)
    tokens = rng.integers(4, V, (B, 2))
    state = [rng.normal(size=(B, 2, 7)).astype("float32")]
    together = model.step(tokens, 0, state, memory)
    for k in range(2):
        alone = model.step(tokens[:, k : k + 1], 0, [state[0][:, k : k + 1]], memory)
        assert_close(together.logits[:, k], alone.logits[:, 0])
        assert_close(together.state[0][:, k], alone.state[0][:, 0])
        assert_close(together.alignment[:, k], alone.alignment[:, 0])


@pytest.mark.parametrize("pads", [7])
def test_more_padding_changes_nothing(model, pads):
    padded = np.pad(SOURCE, ((0, 0), (0, pads)))
    assert_close(call(model, padded), call(model))
    longer = call(model, target=np.pad(TARGET, ((0, 0), (0, pads))))
    assert_close(longer[:, :T], call(model))


def test_future_target_tokens_change_nothing(model):
    logits = call(model)
    for position in (0, T - 2):
        changed = TARGET.copy()
        changed[:, position + 1 :] = (changed[:, position + 1 :] + 5) % V
        other = call(model, target=changed)
        assert_close(other[:, : position + 1], logits[:, : position + 1])
        assert not np.allclose(other[:, position + 1], logits[:, position + 1])


def test_permuting_the_batch_permutes_the_result(model):
    order = [2, 0, 1]
    assert_close(call(model, SOURCE[order], TARGET[order]), call(model)[order])


def test_every_source_token_matters(model):
    logits = call(model)
    for place in range(SOURCE.shape[1]):
        changed = SOURCE.copy()
        changed[0, place] = 18
        assert not np.allclose(call(model, changed)[0], logits[0])


def test_config_round_trip(model):
    again = RecurrentSeq2Seq.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(call(again), call(model))


def test_a_loaded_model_still_decodes(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is RecurrentSeq2Seq
    for one, other in zip(
        decode(loaded, SOURCE, start_id=1, end_id=2, max_length=7),
        decode(model, SOURCE, start_id=1, end_id=2, max_length=7),
        strict=True,
    ):
        if one is not None:
            np.testing.assert_array_equal(one, other)


def test_the_file_holds_each_weight_once(tiny_model, tmp_path):
    model = tiny_model(19, V, dropout=0.3)
    model.save(tmp_path / "model.keras")
    sizes = []
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda _, item: sizes.append(item.size) if isinstance(item, h5py.Dataset) else None)
    assert sorted(sizes) == sorted(int(np.prod(weight.shape)) for weight in model.weights)


def test_dropout_acts_in_training_alone(tiny_model):
    model = tiny_model(19, V, dropout=0.5)
    inputs = {"source": SOURCE, "target": TARGET}
    np.testing.assert_array_equal(model(inputs), model(inputs))
    assert not np.allclose(model(inputs, training=True), model(inputs, training=True))


def test_dropout_acts_between_the_layers_of_the_decoder_too(rng):
    model = RecurrentSeq2Seq(
        19, V, embedding_dim=5, units=7, attention_units=3, dropout=0.5, num_decoder_layers=2, residual=True
    )
    state, memory = model.start(SOURCE)
    logits = model.step(TARGET[:, :1], 0, state, memory).logits
    assert_close(logits[:, 0], call(model)[:, 0])
    model.get_layer("dropout").rate = 0.0  # all other places
    for training in (False, True):
        for again in (
            model.step(TARGET[:, :1], 0, state, memory, training=training).logits[:, 0],
            model({"source": SOURCE, "target": TARGET}, training=training)[:, 0],
        ):
            assert np.allclose(again, logits[:, 0], atol=1e-5) is not training
    assert (
        RecurrentSeq2Seq(19, V, embedding_dim=5, units=7, attention_units=3, dropout=0.5)
        .get_layer("decoder")
        .cell_dropout
        == 0
    )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(model, tiny_model, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        mixed = tiny_model(19, V)
    finally:
        keras.config.set_dtype_policy(before)
    logits, exact = call(mixed), call(model)
    assert logits.dtype == np.float32
    assert np.corrcoef(logits.reshape(-1), exact.reshape(-1))[0, 1] > 0.99
    state, memory = mixed.start(SOURCE)
    step = mixed.step(TARGET[:, :1], 0, state, memory)
    assert step.state[0].dtype == state[0].dtype
    np.testing.assert_allclose(step.logits[:, 0], logits[:, 0], atol=0.3)
    assert decode(mixed, SOURCE, start_id=1, end_id=2, max_length=5).tokens.shape[:2] == (B, 1)


def test_needs_no_cudnn_op(model):
    run = tf.function(model).get_concrete_function(
        {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ("source", "target")}
    )
    graph = run.graph.as_graph_def()
    names = {node.op for node in graph.node}
    names |= {node.op for function in graph.library.function for node in function.node_def}
    assert not [name for name in names if "udnn" in name]
    assert "While" in names or "StatelessWhile" in names  # the graph is not empty
