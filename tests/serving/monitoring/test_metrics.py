from __future__ import annotations

import re
from pathlib import Path

from keras_attn import serving
from keras_attn.serving.monitoring import metric_definitions
from keras_attn.serving.monitoring.metric_definitions import (
    EXAMPLES,
    REQUEST_LATENCY,
    REQUESTS,
    RUNNING,
    Definition,
    exponential,
)
from keras_attn.serving.monitoring.metrics import Metrics, prometheus_name


def lines_of(metrics, name):
    return [line for line in metrics.page().splitlines() if name in line]


def test_every_metric_is_counted_somewhere():
    named = {name for name, value in vars(metric_definitions).items() if isinstance(value, Definition)}
    sources = [path.read_text(encoding="utf-8") for path in Path(serving.__file__).parent.rglob("*.py")]
    counted = {
        name for source in sources for name in re.findall(r"(?:increase|observe)\(\s*(?:\w+\.)?(\w+)", source)
    }
    assert named - counted == set()


def test_counters():
    metrics = Metrics()
    metrics.increase(REQUESTS, "m", "OK")
    metrics.increase(REQUESTS, "m", "OK", by=2)
    metrics.increase(REQUESTS, 'a"b\\c\nd', "NOT_FOUND")
    assert lines_of(metrics, "serving:request_count") == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="m",status="OK"} 3',
        ':tensorflow:serving:request_count{model_name="a\\"b\\\\c\\nd",status="NOT_FOUND"} 1',
    ]
    assert metrics.total("/tensorflow/serving/request_count") == 4
    assert metrics.total("/nothing") == 0


def test_gauges():
    metrics = Metrics()
    metrics.increase(RUNNING, "REST")
    metrics.increase(RUNNING, "REST", by=-1)
    assert lines_of(metrics, "running_requests")[1:] == [
        ':keras_attn:serving:running_requests{entrypoint="REST"} 0'
    ]


def test_histograms_have_exclusive_limits():
    metrics = Metrics()
    for count in (1, 2, 2, 100_000):
        metrics.observe(EXAMPLES, "m", value=count)
    lines = lines_of(metrics, "request_example_counts")
    name = ":tensorflow:serving:request_example_counts"
    assert lines[:4] == [
        f"# TYPE {name} histogram",
        f'{name}_bucket{{model="m",le="1"}} 0',
        f'{name}_bucket{{model="m",le="2"}} 1',
        f'{name}_bucket{{model="m",le="4"}} 3',
    ]
    assert lines[-4:] == [
        f'{name}_bucket{{model="m",le="16384"}} 3',
        f'{name}_bucket{{model="m",le="+Inf"}} 4',
        f'{name}_sum{{model="m"}} 100005',
        f'{name}_count{{model="m"}} 4',
    ]
    assert metrics.total(EXAMPLES.name) == 4


def test_limits_are_spelt_with_six_digits():
    metrics = Metrics()
    metrics.observe(REQUEST_LATENCY, "m", "Predict", "GRPC", value=11.5)
    limits = [line.partition('le="')[2].partition('"')[0] for line in lines_of(metrics, "_bucket")]
    assert limits[:4] == ["10", "18", "32.4", "58.32"]
    assert (limits[-2], limits[-1], len(limits)) == ("1.47476e+09", "+Inf", 34)


def test_names_of_models_that_there_are_not_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr("keras_attn.serving.monitoring.metrics._MOST_CELLS", 3)
    metrics = Metrics()
    for number in range(7):
        metrics.increase(REQUESTS, f"m{number}", "NOT_FOUND")
        metrics.observe(REQUEST_LATENCY, f"m{number}", "Predict", "GRPC", value=1.0)
    lines = lines_of(metrics, "serving:request_count")
    assert len(lines) == 1 + 4
    assert lines[-1].endswith('{model_name="(others)",status="(others)"} 4')
    assert metrics.total(REQUEST_LATENCY.name) == 7
    metrics.increase(REQUESTS, "m0", "NOT_FOUND")
    assert lines_of(metrics, 'model_name="m0",status')[0].endswith(" 2")


def test_names():
    assert prometheus_name("/tensorflow/core/a-b") == ":tensorflow:core:a:b"
    assert exponential(10, 2, 3) == (10, 20, 40)
