"""Graphs that run a few times, so that TensorFlow's work on them would cost more than it saves."""

from contextlib import contextmanager

_OPTION = "disable_meta_optimizer"


@contextmanager
def graphs_as_they_are():
    """Runs graphs without optimising them first while the block runs.

    The decoding loop has some 5,000 nodes: optimising it takes longer than translating a page, which it does
    not speed up.
    """
    from keras_attn.quiet import import_tensorflow

    optimizer = import_tensorflow().config.optimizer
    before = optimizer.get_experimental_options().get(_OPTION, False)
    optimizer.set_experimental_options({_OPTION: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({_OPTION: before})
