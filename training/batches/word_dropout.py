"""Words that are hidden from the model while it trains."""

import numpy as np

from keras_attn.tokenizers import special_ids


def with_word_dropout(kind, source_rate, target_rate):
    """A class of batches that replaces words by the unknown one, anew in every epoch.

    Every token is replaced on its own, with the given probability; start, end and pads never, nor the labels.
    Which ones, the seed, the epoch and the number of the batch decide.

    Args:
        kind: `Batches` or a class derived from it.
        source_rate: probability in the source.
        target_rate: probability in what the decoder is told was said before it.

    Returns:
        A class derived from `kind`; its objects need a seed.

    Reference: Bowman et al., "Generating Sentences from a Continuous Space", 2016, section 3.1 (the target);
    Dai and Le, "Semi-supervised Sequence Learning", 2015 (the source).
    """

    class WordDropout(kind):
        def begin_epoch(self, epoch, first_batch=0):
            self._epoch = epoch
            super().begin_epoch(epoch, first_batch)

        def __getitem__(self, index):
            inputs, labels = super().__getitem__(index)
            random = np.random.default_rng((self._seed, self._epoch, index))
            return {
                "source": _dropped(inputs["source"], source_rate, random),
                "target": _dropped(inputs["target"], target_rate, random),
            }, labels

    return WordDropout


def _dropped(ids, rate, random):
    dropped = (random.random(ids.shape) < rate) & (ids > special_ids.UNKNOWN)
    return np.where(dropped, special_ids.UNKNOWN, ids).astype(ids.dtype)
