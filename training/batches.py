"""Batches of pairs of similar length, in an order that depends on the seed and the epoch alone."""

import numpy as np
import tensorflow as tf

from keras_attn.text import special_ids

# Sorting by length happens within this many batches: enough for little padding, few enough to stay random.
_POOL_BATCHES = 32


class Batches:
    """Teacher-forcing batches; `dataset()` is what `model.fit` takes.

    Each is `({"source": [B, S], "target": [B, T]}, labels [B, T])`, int32 and padded with 0: the source ends
    with the end token, the target begins with the start token, the labels are the target one step ahead.

    Args:
        sources: list of int32 id arrays, without start and end.
        targets: likewise, aligned.
        batch_size: pairs a batch; the last one of an epoch may be smaller.
        seed: None keeps the order of the pairs, else they are shuffled anew by `begin_epoch`.
    """

    def __init__(self, sources, targets, batch_size, seed=None):
        self._sources = sources
        self._targets = targets
        self._lengths = np.array([len(s) + len(t) for s, t in zip(sources, targets, strict=True)])
        self._batch_size = batch_size
        self._seed = seed
        self.begin_epoch(0)

    def __len__(self):
        return -(-len(self._sources) // self._batch_size)

    def __getitem__(self, index):
        """The batch at `index` of the present epoch."""
        chosen = self._order[index]
        source = _padded([self._sources[i] for i in chosen], end=True)
        target = _padded([self._targets[i] for i in chosen], start=True)
        labels = _padded([self._targets[i] for i in chosen], end=True)
        return {"source": source, "target": target}, labels

    def begin_epoch(self, epoch):
        """Shuffles for epoch `epoch`, counted from 0.

        A run that is resumed at epoch n sees the batches that an unbroken one would have seen.
        """
        self._order = self._batches_of(epoch)

    def dataset(self):
        """The batches of the present epoch as a `tf.data.Dataset`, those of a later one when iterated later.

        All sizes are unknown to TensorFlow. (Of a `keras.utils.PyDataset`, Keras takes the sizes that the
        first two batches share for fixed, and stops at the first batch of another length.)
        """
        ids = tf.TensorSpec([None, None], tf.int32)
        dataset = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(len(self))),
            output_signature=({"source": ids, "target": ids}, ids),
        )
        cardinality = tf.data.experimental.assert_cardinality(len(self))
        return dataset.apply(cardinality).prefetch(tf.data.AUTOTUNE)

    def _batches_of(self, epoch):
        if self._seed is None:
            return self._cut(np.arange(len(self._sources)))
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self._sources))
        pool_size = self._batch_size * _POOL_BATCHES
        pools = [order[begin : begin + pool_size] for begin in range(0, len(order), pool_size)]
        batches = [batch for pool in pools for batch in self._cut(pool[np.argsort(self._lengths[pool])])]
        random.shuffle(batches)
        return batches

    def _cut(self, order):
        return [order[begin : begin + self._batch_size] for begin in range(0, len(order), self._batch_size)]


def _padded(rows, start=False, end=False):
    longest = max(len(row) for row in rows)
    padded = np.full((len(rows), longest + 1), special_ids.PAD, np.int32)
    for line, row in zip(padded, rows, strict=True):
        line[int(start) : int(start) + len(row)] = row
        if start:
            line[0] = special_ids.START
        if end:
            line[len(row)] = special_ids.END
    return padded
