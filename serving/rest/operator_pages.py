"""Pages outside `/v1/`: metrics, and whether the server is alive and ready."""

from __future__ import annotations

import json
from collections.abc import Callable

from keras_attn.serving.errors import ServingError, invalid
from keras_attn.serving.monitoring.metric_definitions import PAGE_PATH
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.protos.text_format import message_type, read_text_proto
from keras_attn.serving.rest.reply import Reply, error_reply


class SidePages:
    """Pages for those who run the server.

    Args:
        metrics: the numbers to show.
        metrics_path: where they are shown; empty means nowhere.
        not_ready: returns what keeps the server from being ready; nothing if it is.
    """

    def __init__(self, metrics: Metrics, metrics_path: str, not_ready: Callable[[], list[str]]):
        self._metrics = metrics
        self._metrics_path = metrics_path
        self._not_ready = not_ready

    def find(self, path: str) -> Reply | None:
        """Returns the page of a path with its query string, or None if there is no such page."""
        plain, has_query, _ = path.partition("?")
        if self._metrics_path and plain == self._metrics_path:
            if has_query:
                return error_reply(invalid(f"Unexpected path: {path}"))
            return Reply(200, self._metrics.page().encode(), "text/plain")
        if plain == "/healthz":
            return Reply(200, b"ok\n", "text/plain")
        if plain == "/readyz":
            missing = self._not_ready()
            body = json.dumps({"ready": not missing, "waiting_for": missing}, ensure_ascii=False)
            return Reply(503 if missing else 200, (body + "\n").encode("utf-8", "replace"))
        return None


def metrics_path(config_file: str) -> str:
    """Returns where metrics are to be shown, empty for nowhere.

    Args:
        config_file: text proto `MonitoringConfig`; empty means none.

    Raises:
        ServingError: the file cannot be used.
    """
    if not config_file:
        return ""
    config = read_text_proto(config_file, message_type("MonitoringConfig")).prometheus_config
    path = config.path or PAGE_PATH
    if not path.startswith("/"):
        raise _bad_path(path)
    return path if config.enable else ""


def _bad_path(path: str) -> ServingError:
    return invalid(f"path of prometheus_config must begin with /. Received: {path!r}")
