"""A moving average is what is validated and kept as the best; training goes on with the weights."""

import keras
import numpy as np
import pytest

from keras_attn.training.from_recipe.optimizer import WatchedAdam
from keras_attn.training.run.moving_average import averaged_weights


def trained(**options):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(WatchedAdam(0.5, **options), "mse")
    rng = np.random.default_rng(5)
    data = rng.normal(size=(13, 3)), rng.normal(size=(13, 2))
    return model, data


def fit(model, data, epochs=3, **options):
    return model.fit(*data, batch_size=5, epochs=epochs, shuffle=False, verbose=0, **options).history


def test_inside_is_the_average_and_outside_the_weights():
    model, data = trained(use_ema=True, ema_momentum=0.9)
    fit(model, data)
    before = model.get_weights()
    averages = [np.array(average) for _, average in model.optimizer.averages()]
    with averaged_weights(model) as averaged:
        assert averaged
        for one, other in zip(model.get_weights(), averages, strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(before, averages, strict=True))


def test_the_weights_come_back_after_an_error():
    model, data = trained(use_ema=True)
    fit(model, data)
    before = model.get_weights()
    with pytest.raises(ZeroDivisionError), averaged_weights(model):
        raise ZeroDivisionError
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize("optimizer", ["sgd", WatchedAdam(0.5)])
def test_nothing_happens_without_one(optimizer):
    model, data = trained()
    model.compile(optimizer, "mse")
    fit(model, data)
    before = model.get_weights()
    with averaged_weights(model) as averaged:
        assert not averaged
        np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.exhaustive
def test_a_run_keeps_the_average(averaged_run):
    """`best` and `last` are averages; the checkpoint has both, so that training goes on."""
    run = averaged_run.run
    model = keras.models.load_model(run.checkpoint().path)
    last = run.model("last")
    for (variable, average), weight in zip(model.optimizer.averages(), last.trainable_weights, strict=True):
        np.testing.assert_array_equal(weight, average)
        assert (np.array(variable) != np.array(average)).any()
