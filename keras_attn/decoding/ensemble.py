"""Several decoders of one vocabulary that decode together."""

from collections.abc import Iterable

import tensorflow as tf

from keras_attn.decoding.decoder_state import reordered
from keras_attn.protocols import Decoder, Step
from keras_attn.typing import Nested, Tensor

AVERAGES = ("probabilities", "log_probs")


class Ensemble:
    """A decoder that averages what its members predict.

    ```
    p(v) = (1 / M) sum_m p_m(v)                      average="probabilities"
    p(v) ~ exp((1 / M) sum_m log p_m(v))             average="log_probs"
    ```

    The members may be of any family; they share source and target vocabulary. The mean of probabilities goes
    where any member is sure, that of log-probabilities where none objects.

    Args:
        decoders: at least one `keras_attn.protocols.Decoder`.
        average: `"probabilities"` or `"log_probs"`. Default `"probabilities"`.

    Raises:
        ValueError: for no decoder or an unknown `average`.

    Example:

    >>> from keras_attn.decoding import BeamSearch, Ensemble, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     Ensemble([model, model]), [[5, 7, 2]], start_id=1, end_id=2, max_length=9, strategy=BeamSearch(4)
    ... )
    >>> decoded.tokens.shape[:2]
    TensorShape([1, 1])

    As in fairseq (the mean of probabilities). The alignment is the mean of the members' own.
    """

    def __init__(self, decoders: Iterable[Decoder], *, average: str = "probabilities") -> None:
        self.decoders = list(decoders)
        self.average = average
        if not self.decoders:
            raise ValueError("`decoders` is empty. Expected at least one decoder. Received: [].")
        if average not in AVERAGES:
            raise ValueError(f"`average` is unknown. Expected one of {AVERAGES}. Received: {average!r}.")

    def fitting_lengths(self, max_source_length: int, max_target_length: int) -> tuple[int, int]:
        """Both lengths, or less where a member's table of positions has no room for them.

        Args:
            max_source_length: source tokens, the end token not counted.
            max_target_length: target tokens, the end token or the start token counted.
        """
        lengths = max_source_length, max_target_length
        for decoder in self.decoders:
            if hasattr(decoder, "fitting_lengths"):
                lengths = decoder.fitting_lengths(*lengths)
        return lengths

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """The members' states and memories, one after the other."""
        started = [decoder.start(source) for decoder in self.decoders]
        return [state for state, _ in started], [memory for _, memory in started]

    def step(self, tokens: Tensor, position: int | Tensor, state: Nested, memory: Nested) -> Step:
        """A `Step` whose logits are the logarithm of the average, in float32."""
        steps = [
            decoder.step(tokens, position, *own)
            for decoder, *own in zip(self.decoders, state, memory, strict=True)
        ]
        log_probs = tf.stack([tf.nn.log_softmax(tf.cast(step.logits, tf.float32)) for step in steps])
        mean = tf.reduce_logsumexp if self.average == "probabilities" else tf.reduce_mean
        alignments = [step.alignment for step in steps]
        alignment = None
        if not any(x is None for x in alignments):  # a member without attention has none to average
            alignment = tf.add_n([tf.cast(x, tf.float32) for x in alignments]) / len(steps)
        return Step(mean(log_probs, axis=0), [step.state for step in steps], alignment)

    def reorder(self, state: Nested, parents: Tensor) -> Nested:
        """Every member's state, as it is re-ordered there."""
        return [reordered(decoder, own, parents) for decoder, own in zip(self.decoders, state, strict=True)]
