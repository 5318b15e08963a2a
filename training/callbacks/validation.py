"""Loss, perplexity and token accuracy on the validation pairs."""

from collections.abc import Callable
from typing import Any

import keras

from keras_attn.losses import SequenceCrossentropy
from keras_attn.metrics import Perplexity, TokenAccuracy, TokenCrossentropy
from keras_attn.training.distribution.backends import compiles
from keras_attn.training.distribution.devices import loss_weight, scope_of
from keras_attn.training.run.moving_average import averaged_weights


class Validation(keras.callbacks.Callback):
    """Evaluates the validation batches after an epoch and adds the results to its logs, as `fit` would.

    `fit` computes what a model is compiled with in every training step too, where passing over the logits of
    the whole vocabulary once more for each metric is dear. Here the metrics belong to a second model, of the
    same layers. Where a moving average of the weights is kept, the average is evaluated.

    `val_loss` is a mean over the tokens of all batches, as the perplexity is; Keras' own weighs batches by
    their rows, and would change with the size of the batches.

    It must stand before the callbacks that read the logs.

    Args:
        batches: a function without arguments that gives the batches, as `evaluate` takes them.
        label_smoothing: of what counts as loss here; training may add to it.
    """

    def __init__(self, batches: Callable[[], Any], label_smoothing: float):
        super().__init__()
        self._batches = batches
        self._label_smoothing = label_smoothing

    def on_train_begin(self, logs: Any = None) -> None:
        """Compiles the second model."""
        model = self.model
        with scope_of(model):
            self._evaluated = keras.Model(model.inputs, model.outputs[0])
            loss = SequenceCrossentropy(self._label_smoothing)
            metrics = [TokenCrossentropy(self._label_smoothing), Perplexity(), TokenAccuracy()]
            options = {"loss_weights": loss_weight(), "jit_compile": compiles()}
            self._evaluated.compile(loss=loss, metrics=metrics, **options)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Evaluates."""
        with averaged_weights(self.model):
            measured = self._evaluated.evaluate(self._batches(), verbose=0, return_dict=True)
        results = {**measured, "loss": measured["token_crossentropy"]}
        del results["token_crossentropy"]
        logs.update({f"val_{name}": value for name, value in results.items()})
