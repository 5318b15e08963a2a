"""Presets of the recurrent family: as many numbers as the papers' matrices have."""

import keras
import pytest

from keras_attn.families.presets import preset_settings
from keras_attn.models import RecurrentSeq2Seq

V = 29


def test_bahdanau_2015_has_the_matrices_of_its_appendix():
    """Appendix A.2 with m = 620, n = n' = 1000, l = 500; the paper leaves out the biases."""
    m, n, a, maxout = 620, 1000, 1000, 500
    encoder = 2 * 3 * (n * m + n * n)
    decoder = 3 * (n * m + n * n + n * 2 * n) + n * n
    alignment = a * n + a * 2 * n + a
    output = 2 * maxout * (n + m + 2 * n) + V * maxout
    biases = 3 * (3 * 2 * n) + n + 2 * maxout + V  # a GRU of Keras has two a gate
    model = RecurrentSeq2Seq.from_preset("bahdanau_2015", V, V)
    assert model.count_params() == 2 * V * m + encoder + decoder + alignment + output + biases


@pytest.mark.parametrize("name", ["luong_2015", "luong_2015_local"])
def test_luong_2015_has_four_layers_a_side(name):
    """Its width made small: 4 LSTMs, the second to fourth as wide as they feed each other; W_c, W_s."""
    h, x = 7, 5
    model = RecurrentSeq2Seq.from_preset(name, V, V, embedding_dim=x, units=h, attention_vector_units=11)
    encoder = 4 * (h * x + h * h + h) + 3 * 4 * (2 * h * h + h)
    decoder = 4 * (h * (x + 11) + h * h + h) + 3 * 4 * (2 * h * h + h)
    attention = h * h + (h * h + h if name == "luong_2015_local" else 0)
    assert model.count_params() == 2 * V * x + encoder + decoder + attention + 11 * 2 * h + V * 11 + V
    cells = model.get_layer("decoder").cell.cells
    assert [type(cell) for cell in cells] == [keras.layers.LSTMCell] * 4
    assert preset_settings(name)["units"] == preset_settings(name)["embedding_dim"] == 1000


def test_cho_2014_has_no_attention():
    model = RecurrentSeq2Seq.from_preset("cho_2014", V, V, embedding_dim=5, units=7, readout_units=11)
    assert not any("attention" in weight.path for weight in model.weights)
    assert model.get_layer("decoder").cell.units == 7
