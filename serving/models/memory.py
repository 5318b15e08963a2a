"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Returns to the system what loading or unloading a graph has freed.

    TensorFlow's graph refers to itself, so that Python's collector must find it, which it seldom looks for.
    The C library, where it is glibc, keeps most of what is freed, as the pieces are small.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
