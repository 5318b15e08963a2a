"""Waiting for what another thread or process does."""

import time


def wait_until(is_so, timeout_s=60.0):
    """Returns as soon as `is_so()`; fails where it never comes to that."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)
