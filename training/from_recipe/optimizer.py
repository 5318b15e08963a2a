"""The optimizer of a recipe: Adam that tells what it did."""

import keras
from keras import ops

from keras_attn.training.from_recipe.schedules import WarmupSchedule
from keras_attn.training.recipe.section import RecipeError


@keras.saving.register_keras_serializable(package="keras_attn")
class WatchedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` that keeps the norm of the last batch's gradient.

    ```
    m = β₁ m + (1 - β₁) g,  v = β₂ v + (1 - β₂) g²
    w = w - η λ w - η m √(1 - β₂ᵗ) / ((1 - β₁ᵗ) (√v + ε))      λ = weight_decay
    ```

    The norm is taken before clipping and of every batch, also where gradients are accumulated: it is finite
    exactly when that batch's gradient is. The moving average of the weights (`use_ema`) stays beside them:
    nothing overwrites the weights with it, `averages` hands it out.

    Args:
        **kwargs: of `keras.optimizers.Adam`.

    Example:

    >>> import keras
    >>> from keras_attn.training.from_recipe.optimizer import WatchedAdam
    >>> weight, optimizer = keras.Variable([3.0, 4.0]), WatchedAdam(0.1)
    >>> optimizer.apply([keras.ops.array([3.0, 4.0])], [weight])
    >>> float(optimizer.gradient_norm)
    5.0

    Reference: Kingma and Ba 2015; Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    def build(self, variables):
        """Makes the slots of the variables, and the norm."""
        super().build(variables)
        self.gradient_norm = self.add_variable((), name="gradient_norm", aggregation="mean")

    def apply(self, grads, trainable_variables=None):
        """Updates the variables by their gradients."""
        if not self.built and trainable_variables is not None:
            self.build(list(trainable_variables))
        self.gradient_norm.assign(_norm(grads))
        super().apply(grads, trainable_variables)

    def averages(self):
        """Pairs of a variable and its moving average; none without `use_ema`."""
        if not self.use_ema:
            return []
        return list(zip(self._trainable_variables, self._model_variables_moving_average, strict=True))

    def finalize_variable_values(self, var_list):
        """Leaves the variables as they are when `fit` ends: a run may go on."""


def make_optimizer(options, batches):
    """The optimizer that a `[training]` section describes.

    Where gradients are accumulated, Keras moves the average after every batch and a schedule counts batches.
    Both are turned into updates here: the schedule divides, and `ema_momentum` applies to an update, as the
    average takes its `accumulate_steps`th root a batch.

    Args:
        options: a `keras_attn.training.recipe.recipe.Training`.
        batches: number of batches of the whole training, on which a cosine ends.

    Returns:
        A `WatchedAdam`.

    Raises:
        RecipeError: if there are not batches enough for one update.
    """
    accumulated = options.accumulate_steps
    if batches < accumulated:
        raise RecipeError(
            f"must be at most {batches}, the batches of the whole training, or nothing is ever updated. "
            f"Received: {accumulated}. Use more epochs or smaller batches.",
            "training.accumulate_steps",
        )
    return WatchedAdam(
        _schedule(options, max(batches // accumulated, 1)),
        beta_1=options.beta_1,
        beta_2=options.beta_2,
        epsilon=options.epsilon,
        weight_decay=options.weight_decay or None,
        global_clipnorm=options.clip_norm or None,
        use_ema=options.ema_momentum > 0,
        ema_momentum=options.ema_momentum ** (1 / accumulated),
        gradient_accumulation_steps=accumulated if accumulated > 1 else None,
    )


def _schedule(options, updates):
    warmup_steps, decay_steps = options.warmup_steps, None
    if options.schedule == "cosine":
        # A training shorter than its warm-up rises for half of it.
        warmup_steps, decay_steps = min(warmup_steps, updates // 2), updates
    return WarmupSchedule(
        options.schedule, options.learning_rate, warmup_steps, decay_steps, options.accumulate_steps
    )


def _norm(gradients):
    # Of a sparse gradient the rows that it has suffice.
    given = [getattr(gradient, "values", gradient) for gradient in gradients if gradient is not None]
    squares = [ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in given]
    return ops.sqrt(ops.sum(ops.stack(squares)))
