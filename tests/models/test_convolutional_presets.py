"""Presets of the convolutional family: layers and widths of the paper, counted."""

import pytest

from keras_attn.families.presets import preset_settings
from keras_attn.models import ConvolutionalSeq2Seq

V = 29


@pytest.mark.parametrize(
    ("name", "layers", "hidden", "places"),
    [
        ("convs2s_iwslt_de_en", 4, 4 * 256, 9),
        ("convs2s_wmt_en_ro", 20, 20 * 512, 41),
        ("convs2s_wmt_en_de", 15, 9 * 512 + 4 * 1024 + 2 * 2048, 27),
        ("convs2s_wmt_en_fr", 15, 6 * 512 + 4 * 768 + 3 * 1024 + 2048 + 4096, 27),
    ],
)
def test_layers_of_the_encoder(name, layers, hidden, places):
    """Their number, their widths in sum, and how many source places the top one sees."""
    convolutions = preset_settings(name)["encoder_convolutions"]
    assert len(convolutions) == layers
    assert sum(filters for filters, _ in convolutions) == hidden
    assert 1 + sum(size - 1 for _, size in convolutions) == places


def test_the_smallest_counted():
    """Each matrix with its bias and, for the weight normalisation, its lengths."""

    def dense(inputs, outputs, size=1):
        return size * inputs * outputs + 2 * outputs

    width, positions = 256, 1024
    tables = 2 * (V + positions) * width
    convolution, attention = dense(width, 2 * width, 3), 2 * dense(width, width)
    outer = 4 * dense(width, width) + dense(width, V)
    expected = tables + 7 * convolution + 3 * attention + outer
    assert ConvolutionalSeq2Seq.from_preset("convs2s_iwslt_de_en", V, V).count_params() == expected
