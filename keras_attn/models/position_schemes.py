"""Positions of a Transformer's tokens, by the name of the scheme."""

from typing import Any

import keras

from keras_attn.layers import LearnedPositionalEmbedding, SinusoidalPositionalEncoding
from keras_attn.layers.embedding.alibi_positions import ALiBiPositions
from keras_attn.layers.embedding.rotary_positions import RotaryPositions
from keras_attn.layers.embedding.shaw_positions import ShawPositions
from keras_attn.layers.embedding.t5_positions import T5Positions
from keras_attn.typing import Positions

_LONGEST = 1024  # rows of a learned table
_CLIPPED = 16  # Shaw et al. 2018, section 4.1


def absolute_positions(
    positions: Positions | None, options: dict[str, Any], width: int, **settings: Any
) -> keras.layers.Layer | None:
    """Makes the layer that adds positions to embedded tokens.

    Args:
        positions: one of `keras_attn.typing.Positions`, or None.
        options: settings of the scheme's class, by name, over the defaults here.
        width: D.
        **settings: of `keras.layers.Layer` (`name`, `dtype`).

    Returns:
        A layer, or None where positions come in elsewhere or not at all.

    Raises:
        ValueError: for options without a scheme to take them.
    """
    _check(positions, options)
    if positions == "sinusoidal":
        return SinusoidalPositionalEncoding(**options, **settings)
    if positions == "learned":
        # As the token vectors: N(0, 1 / D).
        initializer = keras.initializers.RandomNormal(stddev=width**-0.5)
        defaults = {"max_length": _LONGEST, "embeddings_initializer": initializer}
        return LearnedPositionalEmbedding(**{**defaults, **options}, **settings)
    return None


def relative_positions(
    positions: Positions | None, options: dict[str, Any], num_layers: int, causal: bool, **settings: Any
) -> list[Any]:
    """Makes the scheme of every layer's self-attention.

    T5's numbers are shared by all layers, as in T5; the vectors of Shaw et al. are each layer's own.

    Args:
        positions: one of `keras_attn.typing.Positions`, or None.
        options: as of `absolute_positions`.
        num_layers: how many layers there are.
        causal: whether a query sees only keys before it, which T5's buckets use.
        **settings: of `keras.layers.Layer`.

    Returns:
        A list of one `RelativePositions` or None for every layer.
    """
    _check(positions, options)
    if positions == "shaw":
        return [ShawPositions(**{"max_distance": _CLIPPED, **options}, **settings) for _ in range(num_layers)]
    schemes = {
        "t5": lambda: T5Positions(**{"bidirectional": not causal, **options}, **settings),
        "alibi": lambda: ALiBiPositions(**options, **settings),
        "rotary": lambda: RotaryPositions(**options, **settings),
    }
    scheme = schemes[positions]() if positions in schemes else None
    return [scheme] * num_layers


def _check(positions, options):
    if positions is None and options:
        raise ValueError(
            "`position_options` are settings of a scheme. Expected none with positions=None. "
            f"Received: position_options={options!r}. Choose `positions`, or leave the options out."
        )
