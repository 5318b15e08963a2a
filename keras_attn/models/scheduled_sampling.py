"""Training on predictions of the model itself, on a schedule (Bengio et al. 2015)."""

import inspect
from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops

from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.protocols import Step
from keras_attn.typing import Config, Nested, Tensor

MODES = ("parallel", "sequential")
CHOICES = ("random", "argmax")


@keras.saving.register_keras_serializable(package="keras_attn")
class ScheduledSampling(keras.Model):
    """Feeds a decoder its own predictions in the place of true tokens, with a probability that grows.

    ```
    p_t ~ softmax(logits_{t-1})                           what the model itself would have fed at place t
    x_t = y_t with probability ε_i, else p_t              i: training steps so far; y_1 and pads stay
    ```

    and the loss of the logits of x against the true labels; no gradient flows through the choice of p. Wrap
    a model, then compile and fit the wrapper as you would the model; `model` is trained along, and it is what
    to save, export and serve. Outside training the wrapper is the model. The weights of both are one.

    `mode="parallel"` makes the p_t of all places in one pass over the true tokens, mixes, and runs a second
    pass: two passes for any family of models, but p_t has seen nothing but true tokens. In the original,
    `mode="sequential"`, what is fed at t depends on what was fed before; it costs a loop over the target, and
    works for models whose state keeps its size, which are the recurrent ones. On JAX the sequential mode
    needs a model without dropout.

    Args:
        model: a model of `{"source", "target"}` ids, e.g. `TransformerSeq2Seq`.
        schedule: ε by the step, e.g. a `TeacherForcingSchedule`; any callable that Keras can serialise.
        mode: `"parallel"` or `"sequential"`.
        choice: p_t is drawn at `"random"`, or the `"argmax"`.
        seed: of the draws.
        **kwargs: of `keras.Model`.

    Call arguments:
        inputs: `{"source": [B, S], "target": [B, T]}`, int32.
        training: whether to sample.

    Returns:
        float32 logits `[B, T, V]`.

    Raises:
        ValueError: for an unknown mode or choice, or a sequential mode with a model that cannot do it.

    Example:

    >>> import keras, keras_attn
    >>> from keras_attn.models import RecurrentSeq2Seq, ScheduledSampling, TeacherForcingSchedule
    >>> model = RecurrentSeq2Seq(11, 13, embedding_dim=5, units=7)
    >>> wrapper = ScheduledSampling(model, TeacherForcingSchedule("linear", k=1.0, slope=0.01))
    >>> wrapper.compile("adam", keras_attn.SequenceCrossentropy(), jit_compile=False)  # and then `fit`
    >>> source, target = keras.ops.array([[5, 9, 2]]), keras.ops.array([[1, 4, 8]])
    >>> tuple(wrapper({"source": source, "target": target}, training=True).shape), int(wrapper.steps)
    ((1, 3, 13), 1)

    Differs from tfa.seq2seq's `ScheduledEmbeddingTrainingSampler` in having a schedule and a mode for models
    that are not recurrent.

    Reference: Bengio et al., NeurIPS 2015, section 2; in parallel: Duckworth, Neelakantan, Goodrich, Kaiser,
    Bengio, "Parallel Scheduled Sampling", 2019; Mihaylova, Martins, "Scheduled Sampling for Transformers",
    ACL 2019 (student research workshop).
    """

    def __init__(
        self,
        model: Any,
        schedule: Callable[[Tensor], Tensor],
        *,
        mode: str = "parallel",
        choice: str = "random",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        for name, value, known in (("mode", mode, MODES), ("choice", choice, CHOICES)):
            if value not in known:
                raise ValueError(f"`{name}` is unknown. Expected one of {known}. Received: {name}={value!r}.")
        if mode == "sequential":
            _check_sequential(model)
        self.model = model
        self.schedule = schedule
        self.mode = mode
        self.choice = choice
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.steps = self.add_weight(
            name="steps", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.built = True

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        """See the class."""
        if not training:
            return self.model(inputs, training=False)
        source, target = (ops.convert_to_tensor(inputs[name], dtype="int32") for name in ("source", "target"))
        probability = self.schedule(self.steps)
        self.steps.assign_add(1)
        draws = keras.random.uniform((2, *ops.shape(target)), seed=self.generator)  # [2, B, T]
        first = ops.arange(ops.shape(target)[1]) == 0
        true = ops.logical_or(draws[0] < probability, ops.logical_or(target == PAD_ID, first))
        if self.mode == "sequential":
            return self._one_by_one(source, target, true, draws[1])
        logits = self.model({"source": source, "target": target}, training=True)
        guesses = self._guess(logits, draws[1])  # [B, T], of the next places
        fed = ops.concatenate([target[:, :1], guesses[:, :-1]], axis=1)
        mixed = ops.where(true, target, fed)
        return self.model({"source": source, "target": mixed}, training=True)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes with the model."""
        return self.model.encode(source)

    def start(self, source: Tensor) -> tuple[Nested, Nested]:
        """Starts decoding with the model."""
        return self.model.start(source)

    def step(self, tokens: Tensor, position: Tensor, state: Nested, memory: Nested) -> Step:
        """Runs a decoding step of the model."""
        return self.model.step(tokens, position, state, memory)

    def fitting_lengths(self, max_source_length: int, max_target_length: int) -> tuple[int, int]:
        """Limits both lengths as the model does, if it does."""
        lengths = max_source_length, max_target_length
        return self.model.fitting_lengths(*lengths) if hasattr(self.model, "fitting_lengths") else lengths

    def get_config(self) -> Config:
        """The arguments of the constructor."""
        return {
            "name": self.name,
            "model": keras.saving.serialize_keras_object(self.model),
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "mode": self.mode,
            "choice": self.choice,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, Any] | None = None) -> Self:
        """Makes the model and the schedule from their own configurations first."""
        config = dict(config)
        for name in ("model", "schedule"):
            config[name] = keras.saving.deserialize_keras_object(config[name], custom_objects)
        return cls(**config)

    def _guess(self, logits, draws):
        """Tokens for logits `[.., V]`: at random by one number of [0, 1) each, or the most probable."""
        logits = ops.stop_gradient(logits)
        if self.choice == "argmax":
            return ops.cast(ops.argmax(logits, axis=-1), "int32")
        # How many tokens end below the draw, where all stand in a row, as wide as they are probable.
        below = ops.cumsum(ops.softmax(logits, axis=-1), axis=-1) <= draws[..., None]
        chosen = ops.sum(ops.cast(below, "int32"), axis=-1)
        return ops.minimum(chosen, logits.shape[-1] - 1)  # the sum of all may round to less than 1

    def _one_by_one(self, source, target, true, draws):
        """Logits `[B, T, V]`, each step fed what was true or what the step before predicted."""
        state, memory = self.model.start(source, training=True)
        # One tensor: Keras' `scan` in TensorFlow refuses several whose length is not known.
        known = ops.cast(ops.where(true, target, -1), "float32")
        rows = ops.transpose(ops.stack([known, draws], axis=-1), (1, 0, 2))  # [T, B, 2]

        def advance(carry, row):
            state, guess, _ = carry
            fed = ops.where(row[:, 0] < 0, guess, ops.cast(row[:, 0], "int32"))
            step = self.model.step(fed[:, None], 0, state, memory, training=True)
            logits = step.logits[:, 0]
            carry = (step.state, self._guess(logits, row[:, 1]), logits)
            return carry, carry

        # `scan` wants what it stacks to look like what it carries.
        before = ops.zeros((ops.shape(source)[0], self.model.output_shape[-1]), "float32")
        _, (_, _, logits) = ops.scan(advance, (state, target[:, 0], before), rows)
        return ops.transpose(logits, (1, 0, 2))  # [B, T, V]


def _check_sequential(model):
    if "training" not in inspect.signature(model.step).parameters:
        raise ValueError(
            "mode='sequential' needs a model whose `step` takes `training` and whose state keeps its size. "
            f"Expected a RecurrentSeq2Seq. Received: {type(model).__name__}. Use mode='parallel'."
        )
    if keras.backend.backend() == "jax" and model.get_config().get("dropout"):
        # Keras' dropout changes its generator's state, which a loop of JAX cannot carry out.
        raise ValueError(
            "mode='sequential' cannot drop out on JAX. Expected a model with dropout=0. Received: "
            f"dropout={model.get_config()['dropout']}. Use mode='parallel', or TensorFlow."
        )


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

    def __init__(
        self, kind: str = "inverse_sigmoid", *, k: float = 1000.0, slope: float = 0.0, minimum: float = 0.0
    ):
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

    def __call__(self, step: Tensor) -> Tensor:
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

    def get_config(self) -> Config:
        """The arguments of the constructor."""
        return {"kind": self.kind, "k": self.k, "slope": self.slope, "minimum": self.minimum}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Makes the schedule of a configuration."""
        return cls(**config)
