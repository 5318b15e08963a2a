"""Batches of pairs of similar length, in an order that depends on the seed and the epoch alone."""

import numpy as np
import tensorflow as tf

from keras_attn.training.batches.padded_rows import PaddedRows

# Sorting by length happens within this many batches: enough for little padding, few enough to stay random.
_POOL_BATCHES = 32


def rounded(widths, step):
    """Widths of a batch, each up to the next multiple of `step`."""
    return tuple((-(-np.asarray(widths) // step) * step).tolist())


class Batches:
    """Teacher-forcing batches; `dataset()` is what `model.fit` takes.

    Each is `({"source": [B, S], "target": [B, T]}, labels [B, T])`, int32 and padded with 0: the source ends
    with the end token, the target begins with the start token, the labels are the target one step ahead.

    Args:
        sources: list of int32 id arrays, without start and end.
        targets: likewise, aligned.
        batch_size: pairs a batch; the last one of an epoch may be smaller.
        seed: None keeps the order of the pairs, else they are shuffled anew by `begin_epoch`.

    Attributes:
        width_step: of the class; what the widths of batches are made a multiple of.
        widths: tokens of each pair with start or end, integers `[N, 2]`: of the source and of the target.
    """

    width_step = 1

    def __init__(self, sources, targets, batch_size, seed=None):
        lengths = [(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
        # One more on both sides: the source's end, and the target's start or the labels' end.
        self.widths = np.array(lengths, np.int64).reshape(-1, 2) + 1  # [N, 2]
        self._sources = PaddedRows(sources)
        self._targets = PaddedRows(targets)
        self._batch_size = batch_size
        self._seed = seed
        self.begin_epoch(0)

    def __len__(self):
        return -(-len(self.widths) // self._batch_size)

    def __getitem__(self, index):
        """The batch at `index` of the present epoch."""
        chosen, (source_width, target_width) = self._order[index]
        source = self._sources.padded(chosen, source_width)
        target = self._targets.padded(chosen, target_width, start=True)
        labels = self._targets.padded(chosen, target_width)
        return {"source": source, "target": target}, labels

    def members(self, index):
        """The indices of the pairs in the batch at `index` of the present epoch, `[B]`."""
        return self._order[index][0]

    def begin_epoch(self, epoch, first_batch=0):
        """Shuffles for epoch `epoch`, counted from 0.

        A run that is resumed sees the batches that an unbroken one would have seen.

        Args:
            epoch: its number.
            first_batch: the batch that `dataset()` starts with; those before it are not made.
        """
        self._order = self._batches_of(epoch)
        self._first_batch = first_batch

    def dataset(self):
        """The batches of the present epoch as a `tf.data.Dataset`, those of a later one when iterated later.

        All sizes are unknown to TensorFlow. (Of a `keras.utils.PyDataset`, Keras takes the sizes that the
        first two batches share for fixed, and stops at the first batch of another length.) The number of
        batches is known, as it is when this is called: after an epoch that began at a later batch, take a
        new dataset for those that follow.
        """
        ids = tf.TensorSpec([None, None], tf.int32)
        dataset = tf.data.Dataset.from_generator(
            lambda: (self[index] for index in range(self._first_batch, len(self))),
            output_signature=({"source": ids, "target": ids}, ids),
        )
        cardinality = tf.data.experimental.assert_cardinality(len(self) - self._first_batch)
        return dataset.apply(cardinality).prefetch(tf.data.AUTOTUNE)

    def _batches_of(self, epoch):
        """The batches of an epoch: indices of pairs, and (source width, target width)."""
        if self._seed is None:
            return self._cut(np.arange(len(self.widths)))
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self.widths))
        length = self.widths.sum(axis=1)
        pool_size = self._batch_size * _POOL_BATCHES
        pools = [order[begin : begin + pool_size] for begin in range(0, len(order), pool_size)]
        # Stable: how others break ties depends on the processor.
        batches = [
            batch for pool in pools for batch in self._cut(pool[np.argsort(length[pool], kind="stable")])
        ]
        random.shuffle(batches)
        return batches

    def _cut(self, order):
        parts = [order[begin : begin + self._batch_size] for begin in range(0, len(order), self._batch_size)]
        return [(part, rounded(self.widths[part].max(axis=0), self.width_step)) for part in parts]


class FewShapesBatches(Batches):
    """`Batches` for backends that compile every new shape: widths are multiples of 8, few and a bit wider."""

    width_step = 8
