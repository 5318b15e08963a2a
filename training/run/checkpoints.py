"""The checkpoints of a run: what a training needs to go on, and the weights of earlier epochs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from keras_attn.files import written_whole
from keras_attn.typing import Model, StrPath

_NAME = re.compile(r"epoch-(\d+)(?:-step-(\d+))?\.keras")


class Checkpoint(NamedTuple):
    """A state of a training.

    Attributes:
        epoch: number of finished epochs.
        step: number of batches done of the epoch after them.
        path: the `.keras` file; None before the first checkpoint.
    """

    epoch: int
    step: int
    path: Path | None


class Checkpoints:
    """The folder `checkpoints/` of a run.

    ```
    epoch-0003.keras                     model and optimizer after 3 epochs
    epoch-0003-step-00000200.keras       ... and 200 batches of the fourth
    epoch-0003-step-00000200.state.npz   beside it: dropout's generators, metrics so far, seconds so far
    epoch-0003.weights.h5                weights alone, of the epochs that are to be averaged
    ```

    Only the last `.keras` is kept. All are written whole or not at all, see `written_whole`.

    Args:
        folder: its path; made by the first `save`.
    """

    def __init__(self, folder: StrPath):
        self.folder = Path(folder)

    def latest(self) -> Checkpoint:
        """The last `Checkpoint`."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("epoch-*.keras")]
        states = [Checkpoint(int(name[1]), int(name[2] or 0), path) for name, path in found if name]
        return max(states, default=Checkpoint(0, 0, None))

    def save(self, model: Model, epoch: int, step: int = 0, state: Mapping[str, Any] | None = None) -> None:
        """Makes a model the last checkpoint; arguments are those of `saving`."""
        with self.saving(model, epoch, step, state):
            pass

    @contextmanager
    def saving(
        self, model: Model, epoch: int, step: int = 0, state: Mapping[str, Any] | None = None
    ) -> Iterator[Path]:
        """Writes model and optimizer, and makes them the last checkpoint when the block succeeds.

        Args:
            model: the compiled model.
            epoch: number of finished epochs.
            step: number of batches done of the next one.
            state: arrays by name, which `state` returns.

        Yields:
            The `.keras` file, complete, under a name that does not count yet.
        """
        self.folder.mkdir(exist_ok=True)
        name = f"epoch-{epoch:04d}" + (f"-step-{step:08d}" if step else "")
        final, beside = self.folder / f"{name}.keras", self.folder / f"{name}.state.npz"
        with written_whole(final) as temporary:
            model.save(temporary)
            if state is not None:
                with written_whole(beside) as arrays:
                    np.savez(arrays, **state)
            yield temporary
        for path in [*self.folder.glob("epoch-*.keras"), *self.folder.glob("epoch-*.state.npz")]:
            if path not in (final, beside):
                path.unlink()

    def state(self, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
        """The arrays that were saved with a checkpoint inside an epoch."""
        assert checkpoint.path is not None  # inside an epoch there is a file
        with np.load(checkpoint.path.with_suffix(".state.npz")) as arrays:
            return dict(arrays)

    def keep_weights(self, model: Model, epoch: int, epochs: Iterable[int]) -> None:
        """Writes the weights after `epoch` if it is among `epochs`, and removes those of all others."""
        if epoch in epochs:
            with written_whole(self.folder / f"epoch-{epoch:04d}.weights.h5") as temporary:
                model.save_weights(temporary)
        for kept, path in self.weights().items():
            if kept not in epochs:
                path.unlink()

    def weights(self) -> dict[int, Path]:
        """The files of weights by their epoch, in order."""
        paths = sorted(self.folder.glob("epoch-*.weights.h5"))
        return {int(path.name.split(".")[0].removeprefix("epoch-")): path for path in paths}
