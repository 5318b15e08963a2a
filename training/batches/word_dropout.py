"""Words that are hidden from the model while it trains."""

import numpy as np

from keras_attn.tokenizers import special_ids
from keras_attn.training.batches.batch_sequence import Batch, BatchSequence, WrappedBatches


class WordDropout(WrappedBatches):
    """Replaces words by the unknown one, anew in every epoch.

    Every token is replaced on its own, with the given probability; start, end and padding never, nor the
    labels. The seed, the epoch and the number of the batch decide which ones.

    Args:
        batches: a `BatchSequence`.
        source_rate: probability in the source.
        target_rate: probability in the target that the decoder reads.
        seed: an integer.

    Reference: Bowman et al., "Generating Sentences from a Continuous Space", 2016, section 3.1 (the target);
    Dai and Le, "Semi-supervised Sequence Learning", 2015 (the source).
    """

    def __init__(self, batches: BatchSequence, source_rate: float, target_rate: float, seed: int):
        super().__init__(batches)
        self._rates = {"source": source_rate, "target": target_rate}
        self._seed = seed

    def __getitem__(self, index: int) -> Batch:
        inputs, labels = super().__getitem__(index)
        random = np.random.default_rng((self._seed, self.epoch, index))
        return {name: _dropped(inputs[name], rate, random) for name, rate in self._rates.items()}, labels


def _dropped(ids, rate, random):
    dropped = (random.random(ids.shape) < rate) & (ids > special_ids.UNKNOWN)
    return np.where(dropped, special_ids.UNKNOWN, ids).astype(ids.dtype)
