"""Graphs that run a few times, so that TensorFlow's work on them would cost more than it saves."""

from contextlib import contextmanager

_OPTION = "disable_meta_optimizer"


@contextmanager
def graphs_as_they_are():
    """While the block runs, graphs are run without being optimised first.

    The decoding loop has some 5,000 nodes: to optimise it takes longer than to translate a page, and that
    becomes no faster by it.
    """
    import tensorflow as tf

    optimizer = tf.config.optimizer
    before = optimizer.get_experimental_options().get(_OPTION, False)
    optimizer.set_experimental_options({_OPTION: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({_OPTION: before})
