"""The optimizer: PyTorch's numbers, what accumulating and averaging do, what it tells."""

import keras
import numpy as np
import pytest

from keras_attn.training.from_recipe.optimizer import WatchedAdam, make_optimizer
from keras_attn.training.recipe.recipe import Training
from keras_attn.training.recipe.section import RecipeError

START = np.array([0.7, -1.3, 2.1], np.float32)


def options(**changes):
    return Training(
        **{"schedule": "constant", "warmup_steps": 0, "learning_rate": 0.1, "clip_norm": 0, **changes}
    )


def gradients(count):
    return np.random.default_rng(3).normal(size=(count, 3)).astype(np.float32)


def weights_after(optimizer, batches, weight=None):
    """The weight after each batch, a row each."""
    weight = keras.Variable(START) if weight is None else weight
    rows = []
    for gradient in batches:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        rows.append(keras.ops.convert_to_numpy(weight).copy())
    return np.array(rows)


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_pytorch_computes_the_same(decay):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = weights_after(
        make_optimizer(options(beta_2=0.98, epsilon=1e-9, weight_decay=decay), 7), gradients(5)
    )
    weight = torch.nn.Parameter(torch.tensor(START))
    theirs = torch.optim.AdamW([weight], lr=0.1, betas=(0.9, 0.98), eps=1e-9, weight_decay=decay)
    for row, gradient in zip(ours, gradients(5), strict=True):
        weight.grad = torch.tensor(gradient)
        theirs.step()
        np.testing.assert_allclose(row, weight.detach().numpy(), rtol=1e-4)


def test_accumulated_gradients_are_averaged_and_a_rest_waits():
    batches = gradients(7)
    means = batches[:6].reshape(2, 3, 3).mean(axis=1)
    small = weights_after(make_optimizer(options(accumulate_steps=3, clip_norm=0.5), 7), batches)
    large = weights_after(make_optimizer(options(clip_norm=0.5), 7), means)
    np.testing.assert_array_equal(small[1], START)  # nothing moves before the third batch
    np.testing.assert_allclose(small[[2, 5]], large, rtol=1e-5)
    np.testing.assert_array_equal(small[6], small[5])  # the seventh waits for the next two


def test_a_schedule_counts_updates():
    optimizer = make_optimizer(options(schedule="cosine", warmup_steps=2, accumulate_steps=2), 13)
    schedule = optimizer._learning_rate
    assert (schedule.warmup_steps, schedule.decay_steps, schedule.accumulate_steps) == (2, 6, 2)
    weights_after(optimizer, gradients(4))
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_a_training_shorter_than_its_warm_up():
    schedule = make_optimizer(options(schedule="cosine", warmup_steps=200), 6)._learning_rate
    assert (schedule.warmup_steps, schedule.decay_steps) == (3, 6)
    assert make_optimizer(options(schedule="noam", warmup_steps=200), 6)._learning_rate.warmup_steps == 200


def test_the_moving_average_beside_the_weights():
    optimizer, weight = make_optimizer(options(ema_momentum=0.7), 7), keras.Variable(START)
    rows = weights_after(optimizer, gradients(5), weight)
    expected = rows[0]
    for row in rows[1:]:
        expected = 0.7 * expected + 0.3 * row
    ((variable, average),) = optimizer.averages()
    assert variable is weight
    np.testing.assert_allclose(average, expected, rtol=1e-5)
    optimizer.finalize_variable_values([weight])
    np.testing.assert_array_equal(weight, rows[-1])


def test_the_moving_average_counts_updates_too():
    """Two batches an update: Keras averages after each, with a momentum whose square is the one asked for."""
    batches = np.repeat(gradients(5), 2, axis=0)
    optimizer = make_optimizer(options(ema_momentum=0.7, accumulate_steps=2), 11)
    rows = weights_after(optimizer, [*batches, batches[0]])  # one more batch, so that the last update counts
    updates = rows[1::2]
    expected = updates[0]
    for row in updates[1:]:
        expected = 0.7 * expected + 0.3 * row
    ((_, average),) = optimizer.averages()
    np.testing.assert_allclose(average, expected, rtol=1e-5)


def test_no_average_without_momentum():
    optimizer = make_optimizer(options(), 7)
    weights_after(optimizer, gradients(2))
    assert optimizer.averages() == []


@pytest.mark.parametrize("steps", [1, 2])
def test_the_norm_is_of_each_batch_before_clipping(steps):
    optimizer, weight = (
        make_optimizer(options(accumulate_steps=steps, clip_norm=0.1), 7),
        keras.Variable(START),
    )
    for gradient in gradients(3):
        weights_after(optimizer, [gradient], weight)
        assert float(optimizer.gradient_norm) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    weights_after(optimizer, [np.array([1, np.inf, 3], np.float32)], weight)
    assert not np.isfinite(float(optimizer.gradient_norm))


def test_what_is_off_is_off():
    optimizer = make_optimizer(options(), 7)
    assert (optimizer.global_clipnorm, optimizer.weight_decay) == (None, None)
    assert (optimizer.use_ema, optimizer.gradient_accumulation_steps) == (False, None)


def test_saved_and_loaded_with_its_state(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    changes = {"accumulate_steps": 2, "ema_momentum": 0.9, "weight_decay": 0.01, "schedule": "noam"}
    model.compile(make_optimizer(options(**changes), 7), "mse")
    rng = np.random.default_rng(5)
    inputs, outputs = rng.normal(size=(11, 3)), rng.normal(size=(11, 2))
    model.fit(inputs, outputs, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is WatchedAdam
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other)
    for one in (model, loaded):
        one.fit(inputs, outputs, batch_size=4, verbose=0, shuffle=False)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_without_a_single_update_is_refused():
    with pytest.raises(RecipeError, match=r"accumulate_steps` must be at most 40, .* 64"):
        make_optimizer(options(accumulate_steps=64), 40)
