"""The protocol of clients: one model of a server, the same calls and answers over every transport."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

from keras_attn.serving.client.errors import ServerError
from keras_attn.serving.client.json_values import check_rows, to_json
from keras_attn.serving.client.stream import StreamEvent

_POLL_S = 0.1


class Target(NamedTuple):
    """The signature and the version of a model that a call is for."""

    signature_name: str = ""
    version: int | None = None
    label: str = ""


class Client(ABC):
    """Talks to one model of a server, from any number of threads; `connect` makes one for a URL.

    Answers are plain Python: numbers, `str`, `bytes` for outputs whose names end in `_bytes`, and lists of
    them. Every call is safe to repeat, as a model keeps nothing between requests: a connection that fails
    and a server that is busy are tried again.

    Args:
        model_name: model to talk to.
        timeout_s: seconds to wait for an answer, above 0.
        retries: further attempts if the server cannot be reached or is busy, 0 or more.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, model_name: str, timeout_s: float, retries: int):
        if not timeout_s > 0 or retries < 0:
            raise ValueError(
                "Expected `timeout_s` above 0 and `retries` of 0 or more."
                f" Received: timeout_s={timeout_s!r}, retries={retries!r}"
            )
        self.model_name = model_name
        self._timeout_s = timeout_s
        self._retries = retries

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
            inputs: column form: input name -> nested lists or an array, or the value of the only input, over
                REST also of the only one without a default.
            instances: row form instead, over REST: a list with one value or one dict per row.
            signature_name: signature to run; empty means `serving_default`.
            version: model version; None means the latest.
            label: version label, instead of a version.

        Returns:
            The value of the only output, or output name -> value; in row form, a list with one entry per row.

        Raises:
            TypeError: for neither or both of `inputs` and `instances`, and for a bare string; over gRPC also
                for values that would lose something in the type of the model's input.
            ValueError: over gRPC, a number is out of the range of the input's type.
            ServerError: the server refused; over gRPC also if it cannot be reached (`UNAVAILABLE`).
            OSError: over REST, the server cannot be reached.
        """
        _check_form("predict", inputs, instances)
        return self._predict(inputs, instances, Target(signature_name, version, label))

    def stream(
        self,
        inputs: object = None,
        *,
        instances: list | None = None,
        signature_name: str = "",
        version: int | None = None,
        label: str = "",
    ) -> Iterator[StreamEvent]:
        """Runs a model that writes text, and returns the text as it comes. Over REST, from this server only.

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
            TypeError: for neither or both of `inputs` and `instances`, for a bare string, and over gRPC.
            ServerError: the server refused, or failed on the way.
            OSError: the server cannot be reached, sends nothing for `timeout_s`, or hung up.

        Example:
            `for event in client.stream({"text": ["hello"]}): print(event.text, end="", flush=True)`
        """
        _check_form("stream", inputs, instances)
        return self._stream(inputs, instances, Target(signature_name, version, label))

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
            Label and score of each class, for each example.

        Raises:
            ServerError: as for `predict`.
            OSError: as for `predict`.
        """
        return self._classify(_document(examples, context), Target(signature_name, version, label))

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
        return self._regress(_document(examples, context), Target(signature_name, version, label))

    def status(self, version: int | None = None) -> dict[int, str]:
        """Returns the state of each version: `{2: "AVAILABLE", 1: "END"}`, newest first.

        Raises:
            ServerError: there is no such model or version; otherwise as for `predict`.
            OSError: as for `predict`.
        """
        return self._status(version, self._retries)

    @abstractmethod
    def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures: name -> `inputs`, `outputs` and `method_name`.

        Raises:
            ServerError: there is no such model or version; otherwise as for `predict`.
            OSError: as for `predict`.
        """

    def wait_until_available(self, timeout_s: float = 60.0) -> int:
        """Waits for the server to come up and the model to answer.

        Args:
            timeout_s: seconds to wait.

        Returns:
            The version that answers.

        Raises:
            TimeoutError: it did not; the message has what was seen last.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                states = self._status(None, retries=0)
                ready = [version for version, state in states.items() if state == "AVAILABLE"]
                if ready:
                    return max(ready)
                seen = f"versions {states}"
            except (OSError, ServerError) as error:
                seen = f"{type(error).__name__}: {error}"
            if time.monotonic() >= deadline:
                raise TimeoutError(
                    f"model {self.model_name!r} was not available within {timeout_s} s. Last seen: {seen}"
                )
            time.sleep(_POLL_S)

    @abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _predict(self, inputs: object, instances: list | None, target: Target) -> object: ...

    @abstractmethod
    def _stream(self, inputs: object, instances: list | None, target: Target) -> Iterator[StreamEvent]: ...

    @abstractmethod
    def _classify(self, document: dict, target: Target) -> list[list[tuple[str, float]]]: ...

    @abstractmethod
    def _regress(self, document: dict, target: Target) -> list[float]: ...

    @abstractmethod
    def _status(self, version: int | None, retries: int) -> dict[int, str]: ...


def _check_form(method: str, inputs: object, instances: object) -> None:
    if (inputs is None) == (instances is None):
        raise TypeError(f"{method}() takes either `inputs` or `instances`. Pass exactly one of them.")
    check_rows(inputs, method)


def _document(examples: Sequence[Mapping[str, object]], context: Mapping[str, object] | None) -> dict:
    """The body of a classify or regress request."""
    document: dict[str, object] = {"examples": to_json(list(examples))}
    if context is not None:
        document["context"] = to_json(dict(context))
    return document
