"""REST client of a model server, standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import time
from urllib.parse import quote, unquote, urlsplit

from .client_errors import ServerError

_POLL_S = 0.1


class Client:
    """Talks to one model of a server over REST; keeps a connection alive for each thread.

    Args:
        rest_url: `http://host:8501`, or with the model: `http://host:8501/v1/models/name`.
        model_name: model to talk to, where the URL does not name one.
        timeout_s: seconds to wait for an answer.

    Raises:
        ValueError: the URL is not one of an HTTP server.

    Example:
        `Client("http://localhost:8501", "translate").predict({"text": ["hello"]})`
    """

    def __init__(self, rest_url: str, model_name: str = "default", timeout_s: float = 60.0):
        parts = urlsplit(rest_url if "//" in rest_url else f"http://{rest_url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(
                f"`rest_url` is no address of a server. Expected http://host:port. Received: {rest_url!r}"
            )
        prefix, _, named = parts.path.rstrip("/").partition("/v1/models/")
        self.model_name = unquote(named) or model_name
        self._prefix = prefix
        self._address = (parts.hostname, parts.port)
        self._is_https = parts.scheme == "https"
        self._timeout_s = timeout_s
        self._local = threading.local()

    def predict(
        self,
        inputs: object = None,
        *,
        instances: list | None = None,
        signature_name: str = "",
        version: int | None = None,
    ) -> object:
        """Runs the model.

        Args:
            inputs: column form: input name -> nested lists (or arrays; bytes are sent as base64), or the
                value of the only input.
            instances: row form instead: a list with one value or one dict for each row.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.

        Returns:
            What the model computed: the value of the only output, or output name -> value; in row form,
            a list with one entry for each row. Base64 objects are decoded to bytes.

        Raises:
            ServerError: the server refused.
            OSError: the server cannot be reached.
        """
        if (inputs is None) == (instances is None):
            raise TypeError("predict() takes either `inputs` or `instances`. Pass exactly one of them.")
        key, value = ("inputs", inputs) if instances is None else ("instances", instances)
        request = {key: _to_json(value)}
        if signature_name:
            request["signature_name"] = signature_name
        reply = self._call("POST", self._path(version) + ":predict", json.dumps(request).encode())
        return _from_json(reply["predictions" if "predictions" in reply else "outputs"])

    def status(self, version: int | None = None) -> dict[int, str]:
        """Returns the state of each version: `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ServerError: there is no such model or version.
            OSError: the server cannot be reached.
        """
        reply = self._call("GET", self._path(version))
        return {int(entry["version"]): entry["state"] for entry in reply["model_version_status"]}

    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures: name -> `inputs`, `outputs` and `method_name`.

        Raises:
            ServerError: there is no such model or version.
            OSError: the server cannot be reached.
        """
        reply = self._call("GET", self._path(version) + "/metadata")
        return reply["metadata"]["signature_def"]["signature_def"]

    def wait_until_available(self, timeout_s: float = 60.0) -> int:
        """Waits for the server to come up and the model to answer.

        Args:
            timeout_s: seconds to wait.

        Returns:
            The version that answers.

        Raises:
            TimeoutError: it did not; says what was seen last.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                states = self.status()
                ready = [version for version, state in states.items() if state == "AVAILABLE"]
                if ready:
                    return max(ready)
                seen = f"versions {states}"
            except (OSError, http.client.HTTPException, ServerError) as error:
                seen = f"{type(error).__name__}: {error}"
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"model {self.model_name!r} was not available within {timeout_s} s. Last seen: {seen}"
                )
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Closes the calling thread's connection; the next call opens a new one."""
        connection = self._local.__dict__.pop("connection", None)
        if connection:
            connection.close()

    def _path(self, version: int | None) -> str:
        path = f"{self._prefix}/v1/models/{quote(self.model_name, safe='')}"
        return path if version is None else f"{path}/versions/{version}"

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict:
        status, data = self._send(method, path, body)
        text = data.decode("utf-8", "surrogateescape")
        try:
            reply = json.loads(text, strict=False)
        except ValueError:
            reply = {"error": text.strip() or http.client.responses.get(status, "no reason given")}
        if status != 200:
            raise ServerError(status, reply.get("error", text) if isinstance(reply, dict) else text)
        return reply

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if body else {}
        is_fresh = not hasattr(self._local, "connection")
        while True:
            connection = self._connection()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except (ConnectionError, http.client.HTTPException):
                # The server may have closed an idle connection: one new one is tried.
                self.close()
                if is_fresh:
                    raise
                is_fresh = True
            except OSError:
                self.close()
                raise

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "connection"):
            kind = http.client.HTTPSConnection if self._is_https else http.client.HTTPConnection
            self._local.connection = kind(*self._address, timeout=self._timeout_s)
        return self._local.connection


def _to_json(value: object) -> object:
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if hasattr(value, "numpy"):  # a TensorFlow tensor
        return _to_json(value.numpy())
    return _to_json(value.tolist()) if hasattr(value, "tolist") else value


def _from_json(value: object) -> object:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"b64"}:
        return base64.b64decode(value["b64"])
    return {key: _from_json(item) for key, item in value.items()}
