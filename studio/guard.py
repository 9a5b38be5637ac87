"""Refuse request bodies that are too large or too slow, before Django spools them to disk.

Knows paths and bytes; whether a session is real is Django's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from web import disk

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FILE_PATHS = re.compile(r"^/datasets/new/$")
"""Addresses that take files, up to the upload limit, from someone with a session."""
PROGRESS_BYTES = 30_000
PROGRESS_SECONDS = 30.0


@dataclass(frozen=True)
class Refusal:
    """What to answer instead of the page."""

    status: int
    sentence: str


TOO_SLOW = Refusal(408, "The upload stopped for too long, so nothing was saved. Please try again.")
DISK_FULL = Refusal(
    507, "The disk is full, so nothing was saved. Free some space and send it again."
)


def too_large(limit: int) -> Refusal:
    """The limit in megabytes, and what to do."""
    return Refusal(
        413,
        f"What you sent is too large: this address takes at most {limit // 1_000_000} MB. "
        "Nothing was saved. Split the file, or raise STUDIO_UPLOAD_LIMIT_MB.",
    )


def limit_bytes(scope: Scope) -> int:
    """How many bytes of body this request may bring."""
    has_session = settings.SESSION_COOKIE_NAME.encode() in dict(scope["headers"]).get(
        b"cookie", b""
    )
    if FILE_PATHS.match(scope["path"]) and has_session:
        # A form adds its own lines around the file.
        return int(settings.UPLOAD_LIMIT_BYTES) + 1_000_000
    return int(settings.REQUEST_LIMIT_BYTES)


class BodyGuard:
    """Wraps the pages: 413 by declared or counted size, 408 for a body that stalls, 507."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        limit = limit_bytes(scope)
        body = CountedBody(receive, limit)
        body.refusal = refusal_by_length(scope, limit)
        if body.refusal is None:
            await self.app(scope, body.receive, send)
        if body.refusal is not None:
            if body.refusal is not TOO_SLOW and not body.is_complete:
                await drain(receive, limit)
            await refuse(send, body.refusal)


def refusal_by_length(scope: Scope, limit: int) -> Refusal | None:
    """What the declared length alone says."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    length = int(declared) if declared.isdigit() else 0
    if length > limit:
        return too_large(limit)
    if length > disk.free_bytes(settings.TEMPORARY_DIR):
        return DISK_FULL
    return None


class CountedBody:
    """A request's body as it arrives.

    Once it is refused, the pages are told that the sender is gone: they drop what they have of
    the body and answer nothing, and the guard answers.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive_more = receive
        self.limit = limit
        self.refusal: Refusal | None = None
        self.is_complete = False
        self.total_bytes = self.window_bytes = 0
        self.window_start = time.monotonic()

    async def receive(self) -> Message:
        """The next part, or a disconnect when it is too much or too late."""
        if self.is_complete:
            return await self.receive_more()  # only a disconnect follows; it may take for ever
        remaining = PROGRESS_SECONDS - (time.monotonic() - self.window_start)
        try:
            message = await asyncio.wait_for(self.receive_more(), max(remaining, 0.001))
        except TimeoutError:
            self.refusal = TOO_SLOW
            return {"type": "http.disconnect"}
        self.count(message)
        return {"type": "http.disconnect"} if self.refusal else message

    def count(self, message: Message) -> None:
        """Add up; begin a new window of time when enough has come in this one."""
        size = len(message.get("body", b""))
        self.total_bytes += size
        self.window_bytes += size
        self.is_complete = not message.get("more_body", False)
        if self.total_bytes > self.limit:
            self.refusal = too_large(self.limit)
        if self.window_bytes >= PROGRESS_BYTES:
            self.window_bytes, self.window_start = 0, time.monotonic()


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


async def refuse(send: Send, refusal: Refusal) -> None:
    """Answer with a small page that says what to do, and close the connection."""
    page = render_to_string("web/refused.html", {"sentence": refusal.sentence}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [
                (b"content-type", b"text/html; charset=utf-8"),
                (b"content-length", str(len(page)).encode()),
                (b"content-security-policy", b"default-src 'self'"),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": page})
