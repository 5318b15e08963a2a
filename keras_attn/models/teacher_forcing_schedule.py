"""How often the true token is fed, as training goes on (Bengio et al. 2015)."""

import keras
from keras import ops

KINDS = ("linear", "exponential", "inverse_sigmoid")


@keras.saving.register_keras_serializable(package="keras_attn")
class TeacherForcingSchedule:
    """The probability ε that the decoder is fed the true token, by the number of training steps i.

    ```
    linear             ε_i = max(minimum, k - slope i)
    exponential        ε_i = max(minimum, k^i)                  k < 1
    inverse_sigmoid    ε_i = max(minimum, k / (k + exp(i / k)))    k >= 1
    ```

    The inverse sigmoid stays near 1 and falls to one half at i = k log k.

    Args:
        kind: `"linear"`, `"exponential"` or `"inverse_sigmoid"`.
        k: as above.
        slope: of `"linear"`, a step.
        minimum: of ε.

    Raises:
        ValueError: for an unknown kind, or numbers that its formula does not take.

    Example:

    >>> from keras_attn.models import TeacherForcingSchedule
    >>> schedule = TeacherForcingSchedule("linear", k=1.0, slope=0.125, minimum=0.25)
    >>> [float(schedule(step)) for step in (0, 4, 100)]
    [1.0, 0.5, 0.25]

    Reference: Bengio, Vinyals, Jaitly, Shazeer, "Scheduled Sampling for Sequence Prediction with Recurrent
    Neural Networks", NeurIPS 2015, section 2.4.
    """

    def __init__(self, kind="inverse_sigmoid", k=1000.0, slope=0.0, minimum=0.0):
        if kind not in KINDS:
            raise ValueError(f"`kind` is unknown. Expected one of {KINDS}. Received: kind={kind!r}.")
        right = {"linear": 0 < k <= 1, "exponential": 0 < k < 1, "inverse_sigmoid": k >= 1}[kind]
        if not right:
            raise ValueError(
                f"`k` does not fit kind={kind!r}. Expected 0 < k <= 1 for 'linear', 0 < k < 1 for "
                f"'exponential', k >= 1 for 'inverse_sigmoid'. Received: k={k!r}."
            )
        if not 0 <= minimum <= 1:
            raise ValueError(f"`minimum` must be a probability. Received: minimum={minimum!r}.")
        if (kind == "linear") != (slope > 0):
            raise ValueError(
                "`slope` belongs to kind='linear', where it is above 0. "
                f"Received: slope={slope!r}, kind={kind!r}."
            )
        self.kind = kind
        self.k = k
        self.slope = slope
        self.minimum = minimum

    def __call__(self, step):
        """ε after `step` training steps.

        Args:
            step: an integer or a scalar tensor.

        Returns:
            float32 scalar.
        """
        step = ops.cast(step, "float32")
        if self.kind == "linear":
            probability = self.k - self.slope * step
        elif self.kind == "exponential":
            probability = ops.exp(step * ops.log(self.k))
        else:
            # k / (k + exp(i / k)) without the exponential that overflows.
            probability = ops.sigmoid(ops.log(self.k) - step / self.k)
        return ops.maximum(probability, self.minimum)

    def get_config(self):
        """Everything the constructor takes."""
        return {"kind": self.kind, "k": self.k, "slope": self.slope, "minimum": self.minimum}

    @classmethod
    def from_config(cls, config):
        """Of what `get_config` returned."""
        return cls(**config)
