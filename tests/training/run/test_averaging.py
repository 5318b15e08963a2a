"""The mean of weights is NumPy's, in float64, and becomes a model of the run."""

import json
import shutil

import keras
import numpy as np
import pytest

from keras_attn.training.errors import RunError
from keras_attn.training.fit import _average
from keras_attn.training.run.averaging import average_epochs, average_weights
from keras_attn.training.run.run_folder import RunFolder


def files_of(model, folder, count, scale=1.0):
    """Weights drawn at random in `count` files, and the lists of arrays."""
    rng, paths, values = np.random.default_rng(3), [], []
    for index in range(count):
        arrays = [rng.normal(0, scale, x.shape).astype("float32") for x in model.trainable_weights]
        for weight, array in zip(model.trainable_weights, arrays, strict=True):
            weight.assign(array)
        paths.append(folder / f"{index}.weights.h5")
        model.save_weights(paths[-1])
        values.append(arrays)
    return paths, values


def test_the_mean_is_that_of_numpy(tiny_model, tmp_path):
    model = tiny_model(19, dropout=0.3)
    paths, values = files_of(model, tmp_path, 5)
    average_weights(model, paths)
    for weight, *arrays in zip(model.trainable_weights, *values, strict=True):
        expected = np.mean(np.array(arrays, np.float64), axis=0).astype("float32")
        np.testing.assert_array_equal(weight, expected)


def test_the_sum_does_not_round(tmp_path):
    """In float32, 2^24 + 1 is 2^24: the small one would be lost."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    paths = []
    for index, value in enumerate((2.0**24, 1.0, 1.0, 1.0, -(2.0**24))):
        model.weights[0].assign([[value]])
        paths.append(tmp_path / f"{index}.weights.h5")
        model.save_weights(paths[-1])
    average_weights(model, paths)
    assert float(model.weights[0][0, 0]) == pytest.approx(3 / 5)


class Counting(keras.layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, inputs):
        return inputs


def test_integers_are_those_of_the_last(tmp_path):
    model = keras.Sequential([keras.Input((3,)), Counting()])
    paths = []
    for value in (7, 11):
        model.layers[0].count.assign(value)
        paths.append(tmp_path / f"{value}.weights.h5")
        model.save_weights(paths[-1])
    model.layers[0].count.assign(3)
    average_weights(model, paths)
    assert int(model.layers[0].count) == 11


@pytest.fixture
def copied(averaged_run, tmp_path):
    shutil.copytree(averaged_run.run.path, tmp_path / "copy")
    return RunFolder(tmp_path / "copy")


def test_a_run_writes_the_average_of_its_last_epochs(averaged_run):
    run = averaged_run.run
    assert list(run.checkpoints.weights()) == [3, 4]
    assert "averaged.keras: the mean of the weights after epochs 3, 4" in averaged_run.lines
    weights = []
    for path in run.checkpoints.weights().values():
        model = run.last_model()
        model.load_weights(path)
        weights.append([np.array(x, np.float64) for x in model.trainable_weights])
    averaged = keras.models.load_model(run.averaged_path, compile=False)
    for weight, *arrays in zip(averaged.trainable_weights, *weights, strict=True):
        np.testing.assert_allclose(weight, np.mean(arrays, axis=0), rtol=1e-6)


def test_the_average_is_what_the_run_serves(averaged_run):
    served = averaged_run.run.text_to_text().model.get_weights()
    averaged = averaged_run.run.model("averaged").get_weights()
    best = averaged_run.run.model("best").get_weights()
    for one, other in zip(served, averaged, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((one != other).any() for one, other in zip(served, best, strict=True))


def test_the_best_epochs(copied):
    history = copied.history()
    for entry, loss in zip(history, (1.0, 2.0, 3.0, 4.0), strict=True):
        entry["val_bleu"] = -loss
    copied.write_text("history.json", json.dumps(history))
    assert average_epochs(copied, best=1) == [3]
    model = copied.last_model()
    model.load_weights(copied.checkpoints.weights()[3])
    averaged = copied.model("averaged")
    for one, other in zip(model.trainable_weights, averaged.trainable_weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_average_is_made_anew_only_after_further_epochs(copied):
    lines, options = [], copied.recipe().training
    copied.averaged_path.write_text("of earlier epochs")
    _average(options, copied, lines.append, is_stale=False)
    assert (lines, copied.averaged_path.read_text()) == ([], "of earlier epochs")
    _average(options, copied, lines.append, is_stale=True)
    assert lines == ["averaged.keras: the mean of the weights after epochs 3, 4"]
    assert copied.model("averaged").count_params() > 0


def test_more_epochs_than_are_kept(copied):
    with pytest.raises(RunError, match=r"has kept the weights of 2 epochs. Expected at least 3. Train with"):
        average_epochs(copied, last=3)


def test_epochs_without_a_measurement(copied):
    history = copied.history()
    del history[3]["val_bleu"]
    copied.write_text("history.json", json.dumps(history))
    with pytest.raises(RunError, match=r"val_bleu was measured in 1 of the epochs .* Expected at least 2"):
        average_epochs(copied, best=2)
