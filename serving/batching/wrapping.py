"""Batching sessions around versions: one settings file for all, or one beside each."""

from __future__ import annotations

import logging
import os

from keras_attn.serving.batching.parameters import BatchingParameters, read_batching_parameters
from keras_attn.serving.batching.scheduler import BatchScheduler
from keras_attn.serving.batching.session import BatchingSession
from keras_attn.serving.file_system import exists
from keras_attn.serving.inference.servable import Session
from keras_attn.serving.monitoring.metrics import Metrics

_PER_MODEL_FILE = "batching_params.pbtxt"
_log = logging.getLogger("keras_attn.serving")


class Batching:
    """Puts batching sessions around those of versions as they are loaded.

    Args:
        parameters: settings for all models, and the number of threads.
        per_model: read `batching_params.pbtxt` of each version; one without it is not batched.
        metrics: where batches are counted.
    """

    def __init__(self, parameters: BatchingParameters, per_model: bool, metrics: Metrics):
        self._parameters = parameters
        self._per_model = per_model
        self._metrics = metrics
        self._scheduler = BatchScheduler(parameters.num_threads)

    def wrap(self, session: Session, directory: str) -> Session:
        """Returns what runs a version.

        Args:
            session: the loaded graph.
            directory: the version's directory.

        Raises:
            ServingError: the version's own settings cannot be used.
        """
        parameters = self._parameters
        if self._per_model:
            path = os.path.join(directory, _PER_MODEL_FILE)
            if not exists(path):
                _log.info("%s has no %s: it is not batched.", directory, _PER_MODEL_FILE)
                return session
            parameters = read_batching_parameters(path)
        return BatchingSession(session, parameters, self._scheduler, self._metrics)

    def stop(self) -> None:
        """Ends the threads."""
        self._scheduler.stop()
