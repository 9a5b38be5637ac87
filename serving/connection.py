"""Work for a client that may hang up at any moment: the work is dropped the moment it does.

Starlette notices a lost client only while it sends. A request that waits, for its turn or for a
model to load, has nothing to send yet and would wait for nobody.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from serving.refusals import BadRequest

LARGEST_BODY_BYTES = 4_000_000
LONGEST_SOCKET_PATH = 107


Respond = Callable[[Response], Awaitable[None]]


class WhileConnected(Response):
    """Runs `work`, which sends its own response; both end when the client hangs up."""

    def __init__(self, work: Callable[[Respond], Awaitable[None]]) -> None:
        super().__init__()
        self._start_work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def respond(response: Response) -> None:
            await response(scope, _nothing_more, send)

        work = asyncio.ensure_future(self._start_work(respond))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await _stop(work, gone)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing_more() -> Message:
    """A `receive` for the response itself: the client is being watched already."""
    waiting: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    return await waiting


async def _stop(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def read_body(request: Request) -> bytes:
    """The whole body, up to a limit."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY_BYTES:
            raise BadRequest(f"The body is larger than {LARGEST_BODY_BYTES:,} bytes.")
    return body


def listen_at(path: Path) -> socket.socket:
    """A listening unix socket that only this user may open, in place of a left-over one."""
    if len(str(path)) > LONGEST_SOCKET_PATH:
        raise SystemExit(f"{path} is too long for a socket. Use a shorter DATA_DIR.")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1024)
    return listener
