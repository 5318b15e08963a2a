"""Names of position schemes to layers, with their settings."""

from typing import get_args

import numpy as np
import pytest

from keras_attn.layers import (
    ALiBiPositions,
    LearnedPositionalEmbedding,
    RotaryPositions,
    ShawPositions,
    SinusoidalPositionalEncoding,
    T5Positions,
)
from keras_attn.models.position_schemes import absolute_positions, relative_positions
from keras_attn.typing import Positions

ABSOLUTE = {"sinusoidal": SinusoidalPositionalEncoding, "learned": LearnedPositionalEmbedding}
RELATIVE = {"shaw": ShawPositions, "t5": T5Positions, "alibi": ALiBiPositions, "rotary": RotaryPositions}


def test_every_name_is_of_one_kind():
    assert {*ABSOLUTE, *RELATIVE} == set(get_args(Positions))


@pytest.mark.parametrize("name", [*get_args(Positions), None])
def test_which_layer_a_name_stands_for(name):
    layer = absolute_positions(name, {}, 7, name="here")
    assert type(layer) is ABSOLUTE.get(name, type(None))
    schemes = relative_positions(name, {}, 3, causal=True)
    assert [type(scheme) for scheme in schemes] == [RELATIVE.get(name, type(None))] * 3
    # All layers share T5's numbers; the vectors of Shaw et al. are each layer's own.
    assert len({id(scheme) for scheme in schemes}) == (3 if name == "shaw" else 1)


def test_options_go_over_the_defaults():
    assert absolute_positions("sinusoidal", {"layout": "halves"}, 7).layout == "halves"
    assert absolute_positions("learned", {}, 7).max_length == 1024
    assert absolute_positions("learned", {"max_length": 13}, 7).max_length == 13
    assert relative_positions("shaw", {}, 1, True)[0].max_distance == 16
    assert relative_positions("shaw", {"max_distance": 5}, 1, True)[0].max_distance == 5
    assert relative_positions("rotary", {"base": 300.0}, 1, True)[0].base == 300.0


@pytest.mark.parametrize("causal", [False, True])
def test_buckets_for_what_a_query_sees(causal):
    assert relative_positions("t5", {}, 1, causal)[0].bidirectional is not causal


def test_learned_positions_begin_as_token_vectors_do():
    layer = absolute_positions("learned", {"max_length": 499}, 64)
    layer.build((None, None, 64))
    assert np.std(layer.get_weights()[0]) == pytest.approx(1 / 8, rel=0.03)


@pytest.mark.parametrize("make", [absolute_positions, relative_positions])
def test_what_is_refused(make):
    with pytest.raises(ValueError, match=r"`position_options` are settings of a scheme.*\{'base': 3\}"):
        make(None, {"base": 3}, 1, False) if make is relative_positions else make(None, {"base": 3}, 1)
