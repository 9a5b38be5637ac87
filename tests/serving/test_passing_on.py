"""What a client gets of an answer whose engine dies on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from serving.host import passed_on


class BrokenOff(httpx.AsyncByteStream):
    """A body that ends in the middle."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"begun"
        raise httpx.ReadError("the engine is gone")


def chunks_of(media_type: str) -> list[bytes]:
    """What is passed on of a broken-off answer of this type."""
    chunks: list[bytes] = []

    async def collect() -> None:
        answer = httpx.Response(200, headers={"content-type": media_type}, stream=BrokenOff())
        try:
            async for chunk in passed_on(answer):
                chunks.append(chunk)
        finally:
            await answer.aclose()

    # In a thread of its own: the browser tests leave a running loop in this one.
    with ThreadPoolExecutor(1) as thread:
        try:
            thread.submit(lambda: asyncio.run(collect())).result()
        except httpx.ReadError:
            chunks.append(b"(broken off)")
    return chunks


def test_a_stream_of_events_ends_with_one_that_says_so() -> None:
    begun, last = chunks_of("text/event-stream; charset=utf-8")
    assert begun == b"begun"
    assert last.startswith(b"data: ")
    assert b"stopped before the answer was complete" in last


def test_a_whole_answer_is_broken_off_rather_than_made_longer() -> None:
    assert chunks_of("application/json") == [b"begun", b"(broken off)"]
