"""From a SavedModel directory to a servable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.servable import Servable, Session, SessionSettings
from keras_attn.serving.limits import Limits
from keras_attn.serving.models.memory import give_back
from keras_attn.serving.models.session import GraphSession
from keras_attn.serving.models.warmup import warm_up
from keras_attn.serving.monitoring.metric_definitions import LOAD_ATTEMPTS, LOAD_LATENCY
from keras_attn.serving.monitoring.metrics import Metrics

_log = logging.getLogger("keras_attn.serving")

Wrap = Callable[[Session, str], Session]


def _as_it_is(session: Session, directory: str) -> Session:
    return session


@dataclass
class SavedModelLoader:
    """Loads SavedModel directories.

    Args:
        settings: how models are run.
        metrics: where loads and runs are counted.
        wrap: puts a session that collects requests around that of a version, given its directory.
        warmup_repeats: how often a version's warm-up records are replayed; 0 never.
        max_loads: versions that may be loaded at once; 0 any number.
    """

    settings: SessionSettings = field(default_factory=SessionSettings)
    metrics: Metrics = field(default_factory=Metrics)
    wrap: Wrap = _as_it_is
    warmup_repeats: int = 1
    max_loads: int = 0

    def __post_init__(self):
        self._slots = threading.BoundedSemaphore(self.max_loads) if self.max_loads else nullcontext()

    def __call__(self, name: str, version: int, directory: str) -> Servable:
        """Loads one version.

        Raises:
            ServingError: whatever was wrong with it.
        """
        try:
            with self._slots:
                return self._load(name, version, directory)
        except ServingError:
            raise
        except Exception as error:  # whatever a broken model does, the served version must stay
            raise ServingError(Code.UNKNOWN, f"{type(error).__name__}: {error}") from error

    def _load(self, name: str, version: int, directory: str) -> Servable:
        settings = self.settings
        _log.info("Model %s version %d: loading %s.", name, version, directory)
        graph = self._graph(directory)
        session: Session = graph
        try:
            session = self.wrap(graph, directory)
            servable = Servable(name, version, session, graph.signature_defs, settings, self.metrics, graph)
            servable.limits = Limits()  # those are for clients: the first run takes its time
            replayed = warm_up(servable, directory, self.warmup_repeats) if self.warmup_repeats else 0
            give_back()
            servable.limits = settings.limits
        except BaseException:
            session.close()
            raise
        if replayed:
            _log.info("Model %s version %d: %d warm-up requests were replayed.", name, version, replayed)
        return servable

    def _graph(self, directory: str) -> GraphSession:
        """Loads the graph; counts that as TensorFlow does, which knows nothing of warm-up requests."""
        settings, begin, status = self.settings, time.perf_counter(), "fail"
        threads = (settings.intra_op_threads, settings.inter_op_threads)
        try:
            graph = GraphSession(directory, settings.tags, *threads, settings.config, self.metrics)
            status = "success"
            return graph
        finally:
            self.metrics.increase(LOAD_ATTEMPTS, directory, status)
            self.metrics.increase(LOAD_LATENCY, directory, by=int((time.perf_counter() - begin) * 1e6))
