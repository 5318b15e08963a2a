"""An answer that comes in parts, as a client sees it; standard library only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass

from keras_attn.serving.client.connection import Connection
from keras_attn.serving.client.errors import ServerError, error_text
from keras_attn.serving.client.json_values import from_json


@dataclass(frozen=True)
class StreamEvent:
    """A part of an answer.

    Args:
        row: number of the text that it belongs to; None for the last event.
        text: what follows the texts of all earlier events of this row.
        outputs: the whole answer, as `Client.predict` returns it, in the last event; None before.
    """

    row: int | None
    text: str = ""
    outputs: object = None


def stream_events(connection: Connection, path: str, request: dict) -> Iterator[StreamEvent]:
    """Asks for a stream.

    Args:
        connection: to the server.
        path: of the stream, with its escapes.
        request: the body, JSON values.

    Yields:
        `StreamEvent`s as they come; the last one has the outputs. A caller that stops early hangs up.

    Raises:
        ServerError: the server refused, or failed on the way.
        OSError: the server cannot be reached, says nothing for too long, or hung up.
    """
    body = json.dumps(request).encode()
    opened, response = connection.open(path, body, {"Accept": "text/event-stream"})
    try:
        if response.status != 200:
            raise ServerError(response.status, error_text(response.status, response.read()))
        for name, data in _events(response):
            value = json.loads(data, strict=False)
            if name == "error":
                raise ServerError("error", value["error"])
            if "row" in value:
                yield StreamEvent(value["row"], value["text"])
                continue
            outputs = value["predictions" if "predictions" in value else "outputs"]
            yield StreamEvent(None, outputs=from_json(outputs))
            return
        raise ConnectionError("the server hung up in the middle of a stream")
    except http.client.HTTPException as error:
        raise ConnectionError(f"the server hung up in the middle of a stream: {error!r}") from error
    finally:
        opened.close()


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
    """Names and data of Server-Sent Events; what else they may hold is passed over, as is a cut-off one."""
    name, data = "", []
    for line in response:
        key, _, value = line.decode("utf-8", "surrogateescape").rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif line.strip() == b"" and data:
            yield name, "\n".join(data)
            name, data = "", []
