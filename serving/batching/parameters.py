"""Settings of batching: the file `BatchingParameters`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise

from keras_attn.serving.errors import invalid
from keras_attn.serving.protos.text_format import message_type, read_text_proto


@dataclass(frozen=True)
class BatchingParameters:
    """Settings of session batching, with the stock server's names and defaults.

    Args:
        max_batch_size: rows that a batch holds, and that one request may have.
        batch_timeout_micros: microseconds that a batch waits to be filled.
        max_enqueued_batches: batches that may wait for a thread, for each queue.
        num_batch_threads: batches that may run at once, over all models; 0 means one for each core.
        thread_pool_name: label of the metrics.
        allowed_batch_sizes: sizes that a batch is filled up to; none means any size.
        pad_variable_length_inputs: fill up requests of different inner shapes.
        enable_large_batch_splitting: run a request of more rows than a batch holds in several.
        max_execution_batch_size: rows of a batch, where requests are split; 0 means `max_batch_size`.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = 0
    thread_pool_name: str = ""
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    @property
    def execution_size(self) -> int:
        """Rows that one batch holds."""
        if not self.enable_large_batch_splitting:
            return self.max_batch_size
        return self.max_execution_batch_size or self.max_batch_size

    @property
    def num_threads(self) -> int:
        """Batches that may run at once."""
        return self.num_batch_threads or os.cpu_count() or 1

    def padded_size(self, size: int) -> int:
        """Returns the smallest allowed batch size that holds so many rows; no rows stay none."""
        if not size:
            return 0
        return next((allowed for allowed in self.allowed_batch_sizes if allowed >= size), size)


def read_batching_parameters(path: str) -> BatchingParameters:
    """Reads a settings file.

    Args:
        path: text proto `BatchingParameters`.

    Raises:
        ServingError: the file cannot be used.
    """
    message = read_text_proto(path, message_type("BatchingParameters"))
    values = {}
    for descriptor, value in message.ListFields():
        if descriptor.name == "allowed_batch_sizes":
            value = tuple(value)
        values[descriptor.name] = getattr(value, "value", value)
    parameters = BatchingParameters(**values)
    _check(parameters)
    return parameters


def _check(parameters: BatchingParameters) -> None:
    for name in ("max_batch_size", "max_enqueued_batches"):
        value = getattr(parameters, name)
        if value < 1:
            raise invalid(f"{name} must be positive; was {value}")
    for name in ("batch_timeout_micros", "num_batch_threads", "max_execution_batch_size"):
        value = getattr(parameters, name)
        if value < 0:
            raise invalid(f"{name} must be non-negative; was {value}")
    sizes = parameters.allowed_batch_sizes
    if not sizes:
        return
    if any(after <= before for before, after in pairwise((0, *sizes))):
        raise invalid("allowed_batch_sizes entries must be positive and monotonically increasing")
    if sizes[-1] != parameters.execution_size:
        limit = "max_batch_size"
        if parameters.enable_large_batch_splitting and parameters.max_execution_batch_size:
            limit = "max_execution_batch_size"
        raise invalid(
            f"Last entry in allowed_batch_sizes must match {limit};"
            f" last entry was {sizes[-1]}; expected {parameters.execution_size}"
        )
