"""Requests recorded with a model, replayed before its version is announced."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import time
from collections.abc import Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.file_system import exists
from keras_attn.serving.inference import messages
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.monitoring.metric_definitions import WARMUP_LATENCY, WARMUP_RECORDS

_log = logging.getLogger("keras_attn.serving")
_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000
_SECONDS_A_LINE = 1.0  # of the log, where the requests take long
_DAMAGE = re.compile(r"(?:corrupted|truncated) record at \d+")
_RUNS = {
    "predict_log": messages.predict,
    "classify_log": messages.classify,
    "regress_log": messages.regress,
    "multi_inference_log": messages.multi_inference,
}


def warm_up(servable: Servable, directory: str, repeats: int = 1) -> int:
    """Replays `assets.extra/tf_serving_warmup_requests` of a version, if there is one.

    Args:
        servable: the version.
        directory: its directory.
        repeats: how often each record is replayed.

    Returns:
        The number of records.

    Raises:
        ServingError: a record is no request, or its request failed: the version must not be announced.
    """
    path = os.path.join(directory, _FILE)
    if not exists(path):
        return 0
    begin, status, number = time.perf_counter(), Code.INTERNAL, 0
    progress = _Progress(servable, path)
    try:
        for number, record in enumerate(_records(path), 1):
            progress(number)
            if number > _MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}")
            for _ in range(repeats):
                _replay(servable, record)
        status = Code.OK
    except ServingError as error:
        status = error.code
        raise
    finally:
        microseconds = (time.perf_counter() - begin) * 1e6
        servable.metrics.observe(WARMUP_LATENCY, directory, status.name, value=microseconds)
        servable.metrics.increase(WARMUP_RECORDS, directory, status.name, by=number)
    return number


class _Progress:
    """Says which request is replayed, now and then: the first one as soon as it is its turn.

    Args:
        servable: the version.
        path: of the records, which are counted when the first one is replayed.
    """

    def __init__(self, servable: Servable, path: str):
        self._servable, self._path = servable, path
        self._next = float("-inf")

    def __call__(self, number: int) -> None:
        """Says that request `number`, counted from 1, comes next."""
        now = time.monotonic()
        if now < self._next:
            return
        if number == 1:
            self._total = _count(self._path)
        self._next = now + _SECONDS_A_LINE
        name, version = self._servable.name, self._servable.version
        _log.info("Model %s version %d: warm-up request %d of %s.", name, version, number, self._total)


def _count(path: str) -> int:
    """The number of records up to the first that is damaged: whoever replays that one says so."""
    count = 0
    with contextlib.suppress(ServingError):
        for _ in itertools.islice(_records(path), _MAX_RECORDS):
            count += 1
    return count


def _records(path: str) -> Iterator[bytes]:
    try:
        yield from tf.data.TFRecordDataset(path).as_numpy_iterator()
    except tf.errors.OpError as error:
        damage = _DAMAGE.search(error.message)
        raise ServingError(
            Code(error.error_code),
            f"{damage[0] if damage else error.message}."
            " Please verify your warmup data is in TFRecord format.",
        ) from error


def _replay(servable: Servable, record: bytes) -> None:
    """Runs one record. Its model name and version are not looked at: it came with this version."""
    try:
        log = prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise invalid(f"Failed to parse warmup record: {record[:64]!r}") from error
    kind = log.WhichOneof("log_type")
    if kind not in _RUNS:
        number = log.DESCRIPTOR.fields_by_name[kind].number if kind else 0
        raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
    _RUNS[kind](servable, getattr(log, kind).request)
