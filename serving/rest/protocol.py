"""HTTP/1.1 on a connection: uvicorn's, with the stock server's pages for what is no HTTP."""

from __future__ import annotations

import re
from asyncio import Transport
from typing import Protocol

from httptools import HttpParserError, HttpParserInvalidMethodError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from keras_attn.serving.caller import Caller
from keras_attn.serving.rest.reply import html_page

_REQUEST_LINE = re.compile(rb"\w+ \S+ HTTP/\d")


class _Parser(Protocol):
    def feed_data(self, data: bytes) -> None: ...

    def get_method(self) -> bytes: ...


class _MethodWatch:
    """Passes data to a parser and remembers whether a method that there is not made it fail.

    `CONNECT` is one that the parser knows; it fails at the target, which is no path.
    """

    def __init__(self, parser: _Parser):
        self._parser = parser
        self.has_unknown_method = False

    def feed_data(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserInvalidMethodError:
            self.has_unknown_method = _REQUEST_LINE.match(data) is not None
            raise
        except HttpParserError:
            self.has_unknown_method = self._parser.get_method() == b"CONNECT"
            raise

    def __getattr__(self, name: str) -> object:
        return getattr(self._parser, name)


class RestProtocol(HttpToolsProtocol):
    """Answers 501 to a method that there is not, and 400 to what cannot be parsed.

    Adds to the scope what the stock server goes by: `fragment`, the part of the target behind `#`, and
    `keeps_alive`, where an HTTP/1.0 client asks for that; and `caller`, who leaves when the connection
    is lost.
    """

    def connection_made(self, transport: Transport) -> None:
        """Begins a connection."""
        super().connection_made(transport)
        self.parser = _MethodWatch(self.parser)
        self._caller = Caller()  # one for all requests of a connection, pipelined ones included
        # The time that an idle connection has counts for one that never says anything as well.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a connection."""
        self._caller.leave()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """Begins a request, once its head is complete."""
        super().on_headers_complete()
        self.scope["caller"] = self._caller
        self.scope["fragment"] = self.url.partition(b"#")[2]
        tokens = dict(self.scope["headers"]).get(b"connection", b"").lower()
        if self.scope["http_version"] == "1.0" and b"keep-alive" in tokens:
            self.scope["keeps_alive"] = self.cycle.keep_alive = True

    def send_400_response(self, msg: str) -> None:
        """Sends the page and closes the connection."""
        status = 501 if self.parser.has_unknown_method else 400
        body = html_page(status)
        phrase = body.split(b"<H1>")[1].split(b"</H1>")[0]
        lines = [
            b"HTTP/1.1 %d %s" % (status, phrase),
            b"Content-Type: text/html",
            b"Connection: close",
            b"Content-Length: %d" % len(body),
        ]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        self.transport.close()
