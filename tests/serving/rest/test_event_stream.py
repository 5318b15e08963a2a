"""What a client is sent of texts that come faster than it takes them."""

from __future__ import annotations

import asyncio
import json

from keras_attn.serving.rest.event_stream import EventStream, Mailbox


def test_a_client_that_is_slow_gets_longer_parts():
    """Of each row the newest text alone is kept, and none that comes too late."""

    async def ask():
        mailbox, sent = Mailbox(), []
        for row, text in ((0, b"a"), (1, "가".encode()), (0, b"abc"), (0, b"ab")):
            mailbox.put(row, text)
        await mailbox.wait()

        async def send(message):
            sent.append(message.get("body", b""))

        stream = EventStream(send)
        await stream.texts(mailbox.take())
        mailbox.put(0, b"ab")
        mailbox.put(0, b"abcd")
        await stream.texts(mailbox.take())
        await stream.texts({0: b"x", 1: "가".encode()})  # taken back, and nothing new
        return sent[1:]

    assert [json.loads(event.removeprefix(b"data: ")) for event in asyncio.run(ask())] == [
        {"row": 0, "text": "abc"},
        {"row": 1, "text": "가"},
        {"row": 0, "text": "d"},
    ]
