"""The client over REST; needs urllib3, which the `client` extra installs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, unquote, urlsplit

from keras_attn.serving.client.client import Client, Target
from keras_attn.serving.client.connection import Connection
from keras_attn.serving.client.errors import ServerError, error_text
from keras_attn.serving.client.json_values import read_outputs, to_json
from keras_attn.serving.client.stream import StreamEvent, stream_events

_MODELS = "/v1/models/"


class RestClient(Client):
    """A `Client` over HTTP/1.1 and JSON that keeps its connections alive.

    Args:
        url: `http://host:8501` or `https://host`, also with the model: `http://host:8501/v1/models/name`.
        model_name: model to talk to if the URL does not name one.
        timeout_s: see `Client`.
        retries: see `Client`.

    Raises:
        ValueError: `url` is not a server's address, or a number is out of range.

    Example:
        `RestClient("http://localhost:8501", "translate").predict({"text": ["hello"]})`
    """

    def __init__(self, url: str, model_name: str = "default", *, timeout_s: float = 60.0, retries: int = 2):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`url` is not a server's address. Expected http://host:port. Received: {url!r}")
        self._prefix, _, named = parts.path.rstrip("/").partition(_MODELS)
        super().__init__(unquote(named) or model_name, timeout_s, retries)
        self._connection = Connection(parts.scheme, parts.hostname, parts.port, timeout_s, retries)

    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures; see `Client.metadata`."""
        reply = self._call("GET", self._path(version) + "/metadata")
        return reply["metadata"]["signature_def"]["signature_def"]

    def close(self) -> None:
        """Closes the idle connections; the next call opens a new one."""
        self._connection.close()

    def _predict(self, inputs: object, instances: list | None, target: Target) -> object:
        return read_outputs(self._run("predict", _form(inputs, instances), target))

    def _stream(self, inputs: object, instances: list | None, target: Target) -> Iterator[StreamEvent]:
        path = f"{self._prefix}/stream{self._path(target.version, target.label)}"
        return stream_events(self._connection, path, _body(_form(inputs, instances), target))

    def _classify(self, document: dict, target: Target) -> list[list[tuple[str, float]]]:
        results = self._run("classify", document, target)["results"]
        return [[(name, score) for name, score in classes] for classes in results]

    def _regress(self, document: dict, target: Target) -> list[float]:
        return self._run("regress", document, target)["results"]

    def _status(self, version: int | None, retries: int) -> dict[int, str]:
        reply = self._call("GET", self._path(version), retries=retries)
        return {int(entry["version"]): entry["state"] for entry in reply["model_version_status"]}

    def _run(self, call: str, document: dict, target: Target) -> dict:
        path = f"{self._path(target.version, target.label)}:{call}"
        return self._call("POST", path, _body(document, target))

    def _path(self, version: int | None, label: str = "") -> str:
        path = f"{_MODELS}{quote(self.model_name, safe='')}"
        if label:
            return f"{path}/labels/{quote(label, safe='')}"
        return path if version is None else f"{path}/versions/{version}"

    def _call(self, method: str, path: str, body: bytes | None = None, retries: int | None = None) -> dict:
        status, data = self._connection.send(method, self._prefix + path, body, retries)
        if status != 200:
            raise ServerError(status, error_text(status, data))
        text = data.decode("utf-8", "surrogateescape")
        try:
            return json.loads(text, strict=False)
        except ValueError:
            raise ServerError(status, f"The answer is not JSON. Received: {text[:80]!r}.") from None


def _form(inputs: object, instances: list | None) -> dict:
    return {"inputs": to_json(inputs)} if instances is None else {"instances": to_json(instances)}


def _body(document: dict, target: Target) -> bytes:
    name = {"signature_name": target.signature_name} if target.signature_name else {}
    return json.dumps({**document, **name}).encode()
