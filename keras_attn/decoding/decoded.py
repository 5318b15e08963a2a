"""What decoding returns."""

from typing import Any, NamedTuple


class Decoded(NamedTuple):
    """Whole hypotheses; N is the strategy's number of them, best first where the strategy ranks them.

    Attributes:
        tokens: int32 `[B, N, T]`, without the start token, with the end token, then 0.
        lengths: int32 `[B, N]`, the end token counted.
        log_probs: float32 `[B, N]`, the decoder's log-probabilities of the tokens up to and with the end
            token, summed.
        scores: float32 `[B, N]`, what hypotheses are ranked by: `log_probs` with the strategy's penalties.
        finished: boolean `[B, N]`, False where the largest length cut the hypothesis. A beam's unfinished
            ones stand after all its finished ones. Where fewer than N hypotheses exist at all, the rest have
            length 0 and score -inf.
        alignments: float32 `[B, N, T, S]`, 0 from the end on; or None where not asked for.
    """

    tokens: Any
    lengths: Any
    log_probs: Any
    scores: Any
    finished: Any
    alignments: Any
