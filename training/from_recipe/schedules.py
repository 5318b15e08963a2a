"""Learning rates by the number of updates."""

import math

import keras
from keras import ops

_KINDS = ("cosine", "noam", "inverse_sqrt", "constant")


@keras.saving.register_keras_serializable(package="keras_attn")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises to its peak in `warmup_steps` updates and falls after it, or stays.

    With peak p, warm-up w, u updates done before this one (u = floor(step / accumulate_steps)):

    ```
    constant      p min(u / w, 1)
    cosine        p u / w                                          u < w
                  p (1 + cos(π min((u - w) / (n - w), 1))) / 2     else, n = decay_steps
    inverse_sqrt  p min(u / w, √(w / u))
    noam          p min((u + 1) / w, √(w / (u + 1)))
    ```

    Noam's own formula is factor · D^-½ · min(n^-½, n w^-1½), n = u + 1 the number of this update. It is the
    above with p = factor / √(D w), so factor = p √(D w): 2 with D = 512, w = 4,000 is p = 0.0014. The two
    square roots count differently: the first update of `inverse_sqrt` has rate 0, as fairseq's.

    Keras counts batches; where gradients are accumulated, an update is `accumulate_steps` of them.

    Args:
        kind: `"cosine"`, `"noam"`, `"inverse_sqrt"` or `"constant"`.
        peak: p, the highest rate.
        warmup_steps: w, in updates; 0 for none, which counts as 1 under the square roots.
        decay_steps: n, in updates, of `"cosine"`: where the rate reaches 0.
        accumulate_steps: batches an update.

    Call arguments:
        step: batches done, an integer or an integer scalar.

    Returns:
        A float32 scalar.

    Raises:
        ValueError: for an unknown kind, numbers out of range, or a cosine that ends in its warm-up.

    Example:

    >>> from keras_attn.training.from_recipe.schedules import WarmupSchedule
    >>> schedule = WarmupSchedule("inverse_sqrt", peak=0.5, warmup_steps=4)
    >>> [float(schedule(step)) for step in (0, 2, 4, 16)]
    [0.0, 0.25, 0.5, 0.25]

    Reference: Vaswani et al. 2017, section 5.3; Loshchilov and Hutter, "SGDR", 2017, equation 5.
    """

    def __init__(self, kind, peak, warmup_steps=0, decay_steps=None, accumulate_steps=1):
        super().__init__()
        if kind not in _KINDS:
            raise ValueError(f"`kind` is unknown. Expected one of {', '.join(_KINDS)}. Received: {kind!r}.")
        if not peak > 0 or warmup_steps < 0 or accumulate_steps < 1:
            raise ValueError(
                "A schedule's number is out of range. Expected `peak` above 0, `warmup_steps` at least 0, "
                f"`accumulate_steps` at least 1. Received: {peak}, {warmup_steps}, {accumulate_steps}."
            )
        if kind == "cosine" and (decay_steps is None or decay_steps <= warmup_steps):
            raise ValueError(
                "`decay_steps` is where the cosine ends. Expected more than `warmup_steps` = "
                f"{warmup_steps}. Received: {decay_steps}. Train longer or warm up for less."
            )
        self.kind = kind
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.decay_steps = decay_steps
        self.accumulate_steps = accumulate_steps

    def __call__(self, step):
        """The rate of the update after `step` batches."""
        updates = ops.cast(ops.floor_divide(step, self.accumulate_steps), "float32")
        warmup = max(self.warmup_steps, 1)
        if self.kind == "noam":
            updates = updates + 1
        rising = updates / warmup if self.warmup_steps else 1.0
        if self.kind == "constant":
            share = ops.minimum(rising, 1.0)
        elif self.kind == "cosine":
            done = (updates - self.warmup_steps) / (self.decay_steps - self.warmup_steps)
            falling = 0.5 * (1 + ops.cos(math.pi * ops.clip(done, 0.0, 1.0)))
            share = ops.where(updates < self.warmup_steps, rising, falling)
        else:
            share = ops.minimum(rising, ops.sqrt(warmup / ops.maximum(updates, 1.0)))
        return ops.cast(self.peak * share, "float32")

    def get_config(self):
        """Everything the constructor takes."""
        names = ("kind", "peak", "warmup_steps", "decay_steps", "accumulate_steps")
        return {name: getattr(self, name) for name in names}
