"""Counters and histograms of a server, and the page on which Prometheus reads them."""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_right
from dataclasses import dataclass, field

from keras_attn.serving.errors import Code
from keras_attn.serving.monitoring import metric_definitions as names
from keras_attn.serving.monitoring.metric_definitions import DEFINITIONS, Definition

_MOST_CELLS = 10_000
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")


@dataclass
class _Histogram:
    counts: list[int]
    total: float = 0.0


@dataclass
class Metrics:
    """The numbers of one server; every method may be called from any thread."""

    _values: dict[tuple[str, tuple[str, ...]], int | float] = field(default_factory=dict)
    _histograms: dict[tuple[str, tuple[str, ...]], _Histogram] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def increase(self, metric: Definition, *labels: str, by: float = 1) -> None:
        """Adds to a counter or gauge."""
        with self._lock:
            key = _bounded(self._values, metric, labels)
            self._values[key] = self._values.get(key, 0) + by

    def observe(self, metric: Definition, *labels: str, value: float) -> None:
        """Puts a value into a histogram: into the first bucket whose limit is above it."""
        bucket = bisect_right(metric.limits, value)
        with self._lock:
            key = _bounded(self._histograms, metric, labels)
            if key not in self._histograms:
                self._histograms[key] = _Histogram([0] * (len(metric.limits) + 1))
            histogram = self._histograms[key]
            histogram.counts[bucket] += 1
            histogram.total += value

    def count_request(self, model: str, status: str, api: str, entrypoint: str, begin: float) -> None:
        """Counts a request that has ended, and the time that a successful one took.

        Args:
            model: name in the request.
            status: name of the status code.
            api: name of the call.
            entrypoint: `REST` or `GRPC`.
            begin: when the request came, by `time.perf_counter`.
        """
        self.increase(names.REQUESTS, model, status)
        if status == Code.OK.name:
            microseconds = (time.perf_counter() - begin) * 1e6
            self.observe(names.REQUEST_LATENCY, model, api, entrypoint, value=microseconds)

    def count_examples(self, model: str, count: int) -> None:
        """Counts the examples of a multi-inference request, as the stock server does of no other."""
        self.observe(names.EXAMPLES, model, value=count)
        self.increase(names.EXAMPLE_TOTAL, model, by=count)

    def count_graph_run(self, microseconds: int) -> None:
        """Counts a run of a graph that came to its end."""
        self.increase(names.GRAPH_RUNS)
        self.increase(names.GRAPH_RUN_TIME, by=microseconds)
        self.observe(names.GRAPH_RUN_TIMES, value=microseconds)

    def total(self, name: str) -> int:
        """Returns the sum over all labels of a counter, or the number of values in a histogram."""
        with self._lock:
            counted = sum(value for (known, _), value in self._values.items() if known == name)
            observed = sum(sum(h.counts) for (known, _), h in self._histograms.items() if known == name)
        return int(counted + observed)

    def page(self) -> str:
        """Writes all metrics in Prometheus' text format, as the stock server does: without help lines."""
        lines = []
        with self._lock:
            for metric in DEFINITIONS:
                lines += (
                    _histogram_lines(metric, self._histograms)
                    if metric.limits
                    else _scalar_lines(metric, self._values)
                )
        return "\n".join(lines) + "\n"


def _bounded(cells: dict, metric: Definition, labels: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Returns the key of a cell; when there are very many, new labels share one.

    Anyone can ask for models that there are not: their names must not fill the memory.
    """
    key = (metric.name, labels)
    return key if key in cells or len(cells) < _MOST_CELLS else (metric.name, ("(others)",) * len(labels))


def prometheus_name(name: str) -> str:
    """Returns TensorFlow's name of a metric in the letters that Prometheus allows."""
    return _NOT_IN_A_NAME.sub(":", name)


def _scalar_lines(metric: Definition, values: dict) -> list[str]:
    name = prometheus_name(metric.name)
    lines = [f"# TYPE {name} {'gauge' if metric.is_gauge else 'counter'}"]
    for (known, labels), value in values.items():
        if known == metric.name:
            lines.append(f"{name}{{{_labels(metric, labels)}}} {value:g}" if isinstance(value, float)
                         else f"{name}{{{_labels(metric, labels)}}} {value}")  # fmt: skip
    return lines


def _histogram_lines(metric: Definition, histograms: dict) -> list[str]:
    name = prometheus_name(metric.name)
    lines = [f"# TYPE {name} histogram"]
    limits = [f"{limit:g}" for limit in metric.limits] + ["+Inf"]
    for (known, values), histogram in histograms.items():
        if known != metric.name:
            continue
        labels = _labels(metric, values)
        before = labels + "," if labels else ""
        count = 0
        for limit, in_bucket in zip(limits, histogram.counts, strict=True):
            count += in_bucket
            lines.append(f'{name}_bucket{{{before}le="{limit}"}} {count}')
        lines.append(f"{name}_sum{{{labels}}} {histogram.total:g}")
        lines.append(f"{name}_count{{{labels}}} {count}")
    return lines


def _labels(metric: Definition, values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(metric.labels, values, strict=True))


def _escaped(value: str) -> str:
    text = value.encode("utf-8", "replace").decode()
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
