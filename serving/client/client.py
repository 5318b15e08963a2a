"""Client of a model server: REST with the standard library only, gRPC where grpcio is installed."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote, urlsplit

from keras_attn.serving.client.connection import Connection
from keras_attn.serving.client.errors import ServerError, error_text
from keras_attn.serving.client.json_values import check_rows, from_json, to_json
from keras_attn.serving.client.stream import StreamEvent, stream_events

_POLL_S = 0.1


class Client:
    """Talks to one model of a server, from any number of threads; keeps its connections alive.

    Every call is safe to repeat, as a model has no memory of its requests: a connection that fails and a
    server that is busy are tried again.

    Args:
        url: `http://host:8501` or `grpc://host:8500`; over REST also with the model,
            `http://host:8501/v1/models/name`.
        model_name: model to talk to, where the URL does not name one.
        timeout_s: seconds to wait for an answer, above 0.
        retries: further attempts where the server cannot be reached or is busy, 0 or more.

    Raises:
        ValueError: the URL is not one of a server, or a number is out of range.

    Example:
        `Client("http://localhost:8501", "translate").predict({"text": ["hello"]})`
    """

    def __init__(self, url: str, model_name: str = "default", timeout_s: float = 60.0, retries: int = 2):
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme not in ("http", "https", "grpc") or not parts.hostname:
            raise ValueError(
                "`url` is no address of a server. Expected http://host:port or grpc://host:port."
                f" Received: {url!r}"
            )
        if not timeout_s > 0 or retries < 0:
            raise ValueError(
                "Expected `timeout_s` above 0 and `retries` of 0 or more."
                f" Received: timeout_s={timeout_s!r}, retries={retries!r}"
            )
        prefix, _, named = parts.path.rstrip("/").partition("/v1/models/")
        self.model_name = unquote(named) or model_name
        self._prefix = prefix
        self._grpc = None
        if parts.scheme == "grpc":
            from keras_attn.serving.client.grpc_client import GrpcClient

            self._grpc = GrpcClient(parts.netloc, self.model_name, timeout_s, retries)
            return
        self._http = Connection(parts.hostname, parts.port, parts.scheme == "https", timeout_s, retries)

    def predict(
        self,
        inputs: object = None,
        *,
        instances: list | None = None,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> object:
        """Runs the model.

        Args:
            inputs: column form: input name -> nested lists (or arrays; bytes are sent as base64), or the
                value of the only input, over REST also of the only one without a default.
            instances: row form instead, over REST: a list with one value or one dict for each row.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.
            label: version label, instead of a version.

        Returns:
            What the model computed: the value of the only output, or output name -> value; in row form,
            a list with one entry for each row. Lists and text over REST, arrays over gRPC.

        Raises:
            TypeError: for neither or both of `inputs` and `instances`, and for a text alone; over gRPC also
                for values of another kind than the model takes.
            ValueError: over gRPC, a number is out of the range of the model's type.
            ServerError: the server refused.
            OSError: the server cannot be reached.
        """
        if (inputs is None) == (instances is None):
            raise TypeError("predict() takes either `inputs` or `instances`. Pass exactly one of them.")
        check_rows(inputs)
        if self._grpc:
            if instances is not None:
                raise TypeError("`instances` is a form of REST. Pass `inputs` over gRPC.")
            return self._grpc.predict(inputs, signature_name=signature_name, version=version, label=label)
        key, value = ("inputs", inputs) if instances is None else ("instances", instances)
        reply = self._run("predict", {key: to_json(value)}, signature_name, version, label)
        return from_json(reply["predictions" if "predictions" in reply else "outputs"])

    def stream(
        self,
        inputs: object = None,
        *,
        instances: list | None = None,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> Iterator[StreamEvent]:
        """Runs a model that writes text, and returns the text as it comes. Over REST, from our own server.

        Args:
            inputs: as for `predict`.
            instances: as for `predict`.
            signature_name: `stream` if empty, or `sample`.
            version: model version; None means the latest.
            label: version label, instead of a version.

        Returns:
            An iterator of `StreamEvent`s: parts of each row's text, which joined are the whole, and then one
            with all outputs. The request is sent when the first one is asked for, and again only as long as
            none has come; to stop early, `close()` the iterator.

        Raises:
            TypeError: for neither or both of `inputs` and `instances`, for a text alone, and over gRPC.
            ServerError: the server refused, or failed on the way.
            OSError: the server cannot be reached, says nothing for `timeout_s`, or hung up.

        Example:
            `for event in client.stream({"text": ["hello"]}): print(event.text, end="", flush=True)`
        """
        if (inputs is None) == (instances is None):
            raise TypeError("stream() takes either `inputs` or `instances`. Pass exactly one of them.")
        check_rows(inputs, "stream")
        if self._grpc:
            raise TypeError("Streams are a form of REST. Expected a client of http://host:port.")
        key, value = ("inputs", inputs) if instances is None else ("instances", instances)
        request = {key: to_json(value)}
        if signature_name:
            request["signature_name"] = signature_name
        path = self._path(version, label).removeprefix(self._prefix)
        return stream_events(self._http, f"{self._prefix}/stream{path}", request)

    def classify(
        self,
        examples: Sequence[Mapping[str, object]],
        *,
        context: Mapping[str, object] | None = None,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> list[list[tuple[str, float]]]:
        """Classifies examples.

        Args:
            examples: feature name -> value or list of values, for each example.
            context: features that all examples share.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.
            label: version label, instead of a version.

        Returns:
            label and score of each class, for each example.

        Raises:
            ServerError: the server refused.
            OSError: the server cannot be reached.
        """
        results = self._examples("classify", examples, context, signature_name, version, label)
        return [[(name, score) for name, score in classes] for classes in results]

    def regress(
        self,
        examples: Sequence[Mapping[str, object]],
        *,
        context: Mapping[str, object] | None = None,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> list[float]:
        """Returns one number for each example; arguments and errors as those of `classify`."""
        return self._examples("regress", examples, context, signature_name, version, label)

    def status(self, version: int | None = None) -> dict[int, str]:
        """Returns the state of each version: `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ServerError: there is no such model or version.
            OSError: the server cannot be reached.
        """
        return self._status(version, None)

    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures: name -> `inputs`, `outputs` and `method_name`.

        Raises:
            ServerError: there is no such model or version.
            OSError: the server cannot be reached.
        """
        if self._grpc:
            return self._grpc.metadata(version)
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
                states = self._status(None, 0)
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
        """Closes the idle connections; over REST, the next call opens a new one."""
        (self._grpc or self._http).close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _examples(
        self,
        call: str,
        examples: Sequence[Mapping[str, object]],
        context: Mapping[str, object] | None,
        signature_name: str,
        version: int | None,
        label: str,
    ) -> list:
        if self._grpc:
            run = getattr(self._grpc, call)
            return run(examples, context, signature_name=signature_name, version=version, label=label)
        request: dict[str, object] = {"examples": to_json(list(examples))}
        if context is not None:
            request["context"] = to_json(dict(context))
        return self._run(call, request, signature_name, version, label)["results"]

    def _status(self, version: int | None, retries: int | None) -> dict[int, str]:
        if self._grpc:
            return self._grpc.status(version)
        reply = self._call("GET", self._path(version), retries=retries)
        return {int(entry["version"]): entry["state"] for entry in reply["model_version_status"]}

    def _run(self, call: str, request: dict, signature_name: str, version: int | None, label: str) -> dict:
        if signature_name:
            request["signature_name"] = signature_name
        return self._call("POST", f"{self._path(version, label)}:{call}", json.dumps(request).encode())

    def _path(self, version: int | None, label: str = "") -> str:
        path = f"{self._prefix}/v1/models/{quote(self.model_name, safe='')}"
        if label:
            return f"{path}/labels/{quote(label, safe='')}"
        return path if version is None else f"{path}/versions/{version}"

    def _call(self, method: str, path: str, body: bytes | None = None, retries: int | None = None) -> dict:
        status, data = self._http.send(method, path, body, retries)
        if status != 200:
            raise ServerError(status, error_text(status, data))
        text = data.decode("utf-8", "surrogateescape")
        try:
            return json.loads(text, strict=False)
        except ValueError:
            raise ServerError(status, f"The answer is no JSON. Received: {text[:80]!r}.") from None
