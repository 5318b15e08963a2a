"""The client for asyncio programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from keras_attn.serving.client.connect import connect
from keras_attn.serving.client.stream import StreamEvent


class AsyncClient:
    """Talks to one model of a server without blocking the event loop; also an async context manager.

    Each call runs in one of the client's own threads: `max_calls` requests are under way at once at most,
    and further ones wait.

    Args:
        url: as for `connect`.
        model_name: model to talk to if the URL does not name one.
        timeout_s: seconds to wait for an answer.
        retries: further attempts if the server cannot be reached or is busy.
        max_calls: requests that may be under way at once.

    Raises:
        ValueError: the URL is not a server's address, or a number is out of range.

    Example:
        `await AsyncClient("http://localhost:8501", "translate").predict({"text": ["hello"]})`
    """

    def __init__(
        self,
        url: str,
        model_name: str = "default",
        *,
        timeout_s: float = 60.0,
        retries: int = 2,
        max_calls: int = 8,
    ):
        self._client = connect(url, model_name, timeout_s=timeout_s, retries=retries)
        self._executor = ThreadPoolExecutor(max_calls, thread_name_prefix="client")

    async def predict(self, inputs: object = None, **more: object) -> Any:
        """Runs the model; arguments, result and errors as those of `Client.predict`."""
        return await self._call("predict", inputs, **more)

    async def stream(self, inputs: object = None, **more: Any) -> AsyncIterator[StreamEvent]:
        """Iterates over the text as it comes; arguments, events and errors as those of `Client.stream`."""
        events: Any = self._client.stream(inputs, **more)
        loop = asyncio.get_running_loop()
        asked = None
        try:
            while True:
                asked = loop.run_in_executor(self._executor, next, events, None)
                event = await asyncio.shield(asked)
                if event is None:
                    return
                yield event
        finally:
            # If the caller has given up, a thread still waits for the next event, and hangs up after it.
            if asked is not None and not asked.done():
                asked.add_done_callback(lambda future: future.exception() or events.close())
            else:
                events.close()

    async def classify(self, examples: list, **more: object) -> list[list[tuple[str, float]]]:
        """Classifies examples; arguments, result and errors as those of `Client.classify`."""
        return await self._call("classify", examples, **more)

    async def regress(self, examples: list, **more: object) -> list[float]:
        """Returns one number for each example; arguments and errors as those of `Client.regress`."""
        return await self._call("regress", examples, **more)

    async def status(self, version: int | None = None) -> dict[int, str]:
        """Returns the state of each version; result and errors as those of `Client.status`."""
        return await self._call("status", version)

    async def metadata(self, version: int | None = None) -> dict:
        """Returns the model's signatures; result and errors as those of `Client.metadata`."""
        return await self._call("metadata", version)

    async def wait_until_available(self, timeout_s: float = 60.0) -> int:
        """Waits for the model to answer; result and errors as those of `Client.wait_until_available`."""
        return await self._call("wait_until_available", timeout_s)

    async def close(self) -> None:
        """Waits for running calls, and ends threads and connections."""
        await asyncio.to_thread(self._executor.shutdown)
        self._client.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _call(self, method: str, *arguments: object, **more: object) -> Any:
        loop = asyncio.get_running_loop()
        run = getattr(self._client, method)
        return await loop.run_in_executor(self._executor, lambda: run(*arguments, **more))
