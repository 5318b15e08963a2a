"""Monotonic alignments: how attention that only moves forward goes on from the previous step.

Each function takes the probability `p[s]` of stopping at place s once it is reached, and the previous
weights `previous[s]`, both float32 `[..., S]`, and returns the new weights `[..., S]`. What stops nowhere is
lost: weights may sum to less than 1.
"""

from keras import ops

from keras_attn.ops.step_loop import run_steps
from keras_attn.typing import Tensor

_TINY = 1e-37  # about the smallest normal float32
_SMALLEST_DIVISOR = 1e-10


def recursive_monotonic_alignment(probability: Tensor, previous: Tensor) -> Tensor:
    """The expected alignment, exactly, place by place.

    `reach[s] = (1 - p[s-1]) reach[s-1] + previous[s]`, `weights[s] = p[s] reach[s]`.

    Args:
        probability: `[B, K, S]`.
        previous: broadcasts to `[B, K, S]`.

    Returns:
        `[B, K, S]`.
    """
    shape = ops.shape(probability)  # [B, K, S]
    previous = previous + ops.zeros_like(probability)
    rows = (shape[0] * shape[1], shape[2], 1)
    places = [ops.reshape(x, rows) for x in (probability, previous)]  # [B K, S, 1]

    def advance(state, place):
        probability, previous = place
        reach = state[0] + previous
        stop = probability * reach
        return [reach - stop], [stop]

    (weights,) = run_steps(advance, [ops.zeros_like(ops.sum(places[0], axis=1))], places)
    return ops.reshape(weights, shape)


def parallel_monotonic_alignment(probability: Tensor, previous: Tensor) -> Tensor:
    """The expected alignment in closed form, for all places at once.

    `weights = p · C · cumsum(previous / C)` with C the exclusive cumulative product of 1 - p. C is not let
    below 1e-10 in the quotient: behind places that are all but sure to stop, weight is lost.

    Args:
        probability: `[..., S]`.
        previous: broadcasts to `probability`.

    Returns:
        `[..., S]`.
    """
    passed = _exclusive_cumprod(1.0 - probability)
    return probability * passed * ops.cumsum(previous / ops.maximum(passed, _SMALLEST_DIVISOR), axis=-1)


def hard_monotonic_alignment(stops: Tensor, previous: Tensor) -> Tensor:
    """The first place, from the previous one on, that stops: a one-hot row, or zeros where none does.

    Args:
        stops: boolean `[..., S]`.
        previous: one-hot or zero rows that broadcast to `stops`.

    Returns:
        float32 `[..., S]`.
    """
    reached = ops.cumsum(previous, axis=-1) > 0.5
    stops = ops.cast(ops.logical_and(stops, reached), "int32")
    first = ops.logical_and(stops > 0, ops.equal(ops.cumsum(stops, axis=-1), 1))
    return ops.cast(first, "float32")


def _exclusive_cumprod(factors):
    """`prod_{j<s} factors[j]`, by logarithms: its gradient divides by no factor of 0."""
    logarithms = ops.log(ops.clip(factors, _TINY, 1.0))
    before = ops.concatenate([ops.zeros_like(logarithms[..., :1]), logarithms[..., :-1]], axis=-1)
    return ops.exp(ops.cumsum(before, axis=-1))
