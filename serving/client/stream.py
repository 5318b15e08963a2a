"""The events of a streamed answer, read from a connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_attn.serving.client.errors import ServerError, error_text
from keras_attn.serving.client.json_values import read_outputs

if TYPE_CHECKING:  # needs urllib3, which `StreamEvent` does not
    from keras_attn.serving.client.connection import Connection


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


def stream_events(connection: Connection, path: str, body: bytes) -> Iterator[StreamEvent]:
    """Asks for a stream.

    Args:
        connection: to the server.
        path: of the stream, percent-encoded.
        body: JSON text.

    Yields:
        `StreamEvent`s as they come; the last one has the outputs. A caller that stops early hangs up.

    Raises:
        ServerError: the server refused, or failed on the way.
        OSError: the server cannot be reached, sends nothing for too long, or hung up.
    """
    with connection.open(path, body, {"Accept": "text/event-stream"}) as answer:
        if answer.status != 200:
            raise ServerError(answer.status, error_text(answer.status, b"".join(answer.parts)))
        for name, data in _events(answer.parts):
            value = json.loads(data, strict=False)
            if name == "error":
                raise ServerError("error", value["error"])
            if "row" in value:
                yield StreamEvent(value["row"], value["text"])
                continue
            yield StreamEvent(None, outputs=read_outputs(value))
            return
        raise ConnectionError("the server hung up in the middle of a stream")


def _events(parts: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """Names and data of Server-Sent Events; comments, other fields and an unfinished event are ignored."""
    name, data = "", []
    for line in _lines(parts):
        key, _, value = line.decode("utf-8", "surrogateescape").rstrip("\r").partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif not line.strip() and data:
            yield name, "\n".join(data)
            name, data = "", []


def _lines(parts: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
