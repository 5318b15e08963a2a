"""How many threads a model computes with where neither a flag nor the session config file says so."""

from __future__ import annotations

# One thread an op: concurrent requests then stay off each other's cores, which decoding with its many small
# ops gains most from. `tests/benchmarks/serving_threads.py` compares the settings.
INTRA_OP_THREADS = 1
# As many ops at once, over all requests, as TensorFlow finds cores. A negative number would let each request
# compute in the thread that it came in.
INTER_OP_THREADS = 0
