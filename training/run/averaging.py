"""The mean of the weights of several epochs, which is often better than any of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_attn.files import written_whole
from keras_attn.training.errors import RunError
from keras_attn.training.run.best_epoch import ranked
from keras_attn.training.run.run_folder import RunFolder
from keras_attn.typing import Model


def average_epochs(run: RunFolder, *, last: int | None = None, best: int | None = None) -> list[int]:
    """Writes `averaged.keras`: the mean of the weights of several epochs of a run.

    ```
    w = (w_1 + ... + w_N) / N
    ```

    Summed in float64. Of integers (counters, states of generators) the latest are kept. This is stochastic
    weight averaging (Izmailov et al. 2018) as well, at whatever learning rates the epochs had.

    Args:
        run: a `RunFolder` that has kept weights (`training.average_last` or `training.average_best`).
        last: number of epochs, the last ones; or
        best: number of epochs, those with the best `training.monitor`.

    Returns:
        The epochs, in order.

    Raises:
        ValueError: if neither `last` nor `best` is given.
        RunError: if this is not a run folder, or the run has kept fewer.

    Reference: Vaswani et al. 2017, section 6.1.
    """
    kept = run.checkpoints.weights()
    epochs = chosen_epochs(run, last, best)
    model = run.last_model()  # checks before it imports TensorFlow
    average_weights(model, [kept[epoch] for epoch in epochs])
    with written_whole(run.averaged_path) as temporary:
        model.save(temporary)
    return epochs


def chosen_epochs(run: RunFolder, last: int | None = None, best: int | None = None) -> list[int]:
    """The epochs whose weights are averaged, in order; arguments and errors are those of `average_epochs`."""
    recipe = run.recipe()
    wanted, kept = last or best, run.checkpoints.weights()
    if not wanted:
        raise ValueError(f"Expected one of `last` and `best` of at least 1. Received: {last}, {best}.")
    if len(kept) < wanted:
        raise RunError(
            f"{run.path} has kept the weights of {len(kept)} epochs. Expected at least {wanted}. Train "
            f"with training.average_last={wanted} (or average_best), or ask for fewer."
        )
    history = [entry for entry in run.history() if entry["epoch"] in kept]
    entries = history[-last:] if last else ranked(history, recipe.training.monitor)[:best]
    if len(entries) < wanted:
        raise RunError(
            f"{run.path}: {recipe.training.monitor} was measured in {len(entries)} of the epochs whose "
            f"weights are kept. Expected at least {wanted}. Ask for fewer, or for the last ones."
        )
    return sorted(entry["epoch"] for entry in entries)


def average_weights(model: Model, paths: Sequence[Path]) -> None:
    """Gives a model the mean of the weights in `.weights.h5` files; see `average_epochs`."""
    import keras  # here, so that `chosen_epochs` can be asked before the import

    sums = [np.zeros(weight.shape, np.float64) for weight in model.weights]
    for path in paths:
        model.load_weights(path)
        for total, weight in zip(sums, model.weights, strict=True):
            total += keras.ops.convert_to_numpy(weight)
    for total, weight in zip(sums, model.weights, strict=True):
        if "float" in keras.backend.standardize_dtype(weight.dtype):
            weight.assign(total / len(paths))
