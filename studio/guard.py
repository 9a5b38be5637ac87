"""Refuse request bodies that are too large or too slow, before Django spools them to disk.

Knows paths and bytes; whether a session is real is Django's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from web import disk

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

FILE_PATHS = re.compile(r"^/datasets/new/$")
"""Addresses that take files, up to the upload limit, from someone with a session."""
DISK_FULL = "The disk is full, so nothing was saved. Free some space and send it again."
PROGRESS_BYTES = 30_000
PROGRESS_SECONDS = 30.0


class BodyTooLarge(Exception):
    """More bytes arrived than this address takes."""


class BodyTooSlow(Exception):
    """The body stopped making progress."""


class DiskFull(Exception):
    """The body does not fit on the disk."""


def limit_bytes(scope: dict[str, Any]) -> int:
    """How many bytes of body this request may bring."""
    has_session = settings.SESSION_COOKIE_NAME.encode() in dict(scope["headers"]).get(
        b"cookie", b""
    )
    if FILE_PATHS.match(scope["path"]) and has_session:
        # A form adds its own lines around the file.
        return int(settings.UPLOAD_LIMIT_BYTES) + 1_000_000
    return int(settings.REQUEST_LIMIT_BYTES)


class BodyGuard:
    """Wraps the pages: 413 by declared or counted size, 408 for a body that stalls."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        limit = limit_bytes(scope)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        receive_counted = counted(receive, limit)
        try:
            if declared.isdigit() and int(declared) > limit:
                raise BodyTooLarge
            if declared.isdigit() and int(declared) > disk.free_bytes(settings.TEMPORARY_DIR):
                raise DiskFull
            await self.app(scope, receive_counted, send)
        except BodyTooLarge:
            await drain(receive, limit)
            await refuse(send, 413, too_large_sentence(limit))
        except DiskFull:
            await drain(receive, limit)
            await refuse(send, 507, DISK_FULL)
        except BodyTooSlow:
            await refuse(send, 408, "The upload stopped for too long. Please try again.")


def counted(receive: Receive, limit: int) -> Receive:
    """A `receive` that raises when the body grows past `limit` or arrives slower than 1 KB/s."""
    loop = asyncio.get_running_loop()
    state = {"total": 0, "window_bytes": 0, "window_start": loop.time(), "complete": 0}

    async def receive_counted() -> Message:
        if state["complete"]:
            return await receive()  # only a disconnect can follow; it may take for ever
        remaining = PROGRESS_SECONDS - (loop.time() - state["window_start"])
        try:
            message = await asyncio.wait_for(receive(), max(remaining, 0.001))
        except TimeoutError as error:
            raise BodyTooSlow from error
        count(message)
        return message

    def count(message: Message) -> None:
        size = len(message.get("body", b""))
        state["total"] += size
        state["window_bytes"] += size
        state["complete"] = not message.get("more_body", False)
        if state["total"] > limit:
            raise BodyTooLarge
        if state["window_bytes"] >= PROGRESS_BYTES:
            state["window_bytes"], state["window_start"] = 0, loop.time()

    return receive_counted


def too_large_sentence(limit: int) -> str:
    """What to tell the person, in megabytes."""
    return (
        f"What you sent is too large: this address takes at most {limit // 1_000_000} MB. "
        "Nothing was saved. Split the file, or raise STUDIO_UPLOAD_LIMIT_MB."
    )


async def drain(receive: Receive, limit: int) -> None:
    """Read and drop the rest of the body, so that the browser shows our answer, not a reset.

    Bounded: a sender who goes on for ten times the limit, or stalls, is cut off.
    """
    total = 0
    with contextlib.suppress(TimeoutError):
        while total < 10 * limit:
            message = await asyncio.wait_for(receive(), PROGRESS_SECONDS)
            total += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return


async def refuse(send: Send, status: int, sentence: str) -> None:
    """Answer with a small page that says what to do, and close the connection."""
    page = render_to_string("web/refused.html", {"sentence": sentence}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-length", str(len(page)).encode()),
                (b"content-security-policy", b"default-src 'self'"),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": page})
