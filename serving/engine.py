"""`python -m serving.engine`: one base model in a process of its own, for the host alone.

It says on standard output, in one line of JSON, that it is ready or why not, and ends when its
standard input does: that is how it never outlives the host, whatever ends that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from transformers.utils import logging as transformers_logging

from serving.chat import ChatRequest, CompletionWriter, Usage, read_request
from serving.connection import Respond, WhileConnected, listen_at, read_body
from serving.cpu_lock import polite_thread_count
from serving.refusals import BadRequest, Refusal, Unavailable, answer_refusal
from tuner.errors import AdapterError, ExampleError, ModelError, PromptTooLongError, TunerError
from tuner.generate import Engine, Request
from tuner.stream import Stream

MOST_ADAPTERS = 32
"""The least recently used one beyond these is dropped, and read again when it is next asked for."""


class EngineApp:
    """The views of one engine. Adapters go by their folder, so a name may change its meaning."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._adapters: OrderedDict[str, None] = OrderedDict()
        self._loading = threading.Lock()

    async def answer(self, http_request: HttpRequest) -> Response:
        """POST /answer"""
        given = json.loads(await read_body(http_request))
        request = read_request(json.dumps(given["request"]).encode())

        async def work(respond: Respond) -> None:
            stream = await self._begin(request, given["adapter"])
            try:
                await respond(await as_response(stream, request))
            finally:
                stream.cancel()

        return WhileConnected(work)

    async def drop_adapter(self, http_request: HttpRequest) -> Response:
        """DELETE /adapter?folder="""
        folder = http_request.query_params["folder"]
        self._adapters.pop(folder, None)
        self._engine.drop_adapter(folder)
        return Response(status_code=204)

    async def health(self, http_request: HttpRequest) -> Response:
        """GET /healthz"""
        engine = self._engine
        return JSONResponse(
            {
                "pid": os.getpid(),
                "active": engine.active_count,
                "waiting": engine.waiting_count,
                "threads": engine.threads,
                "adapters": len(engine.adapter_names),
                "context_length_tokens": engine.context_length_tokens,
            }
        )

    async def _begin(self, request: ChatRequest, adapter: str | None) -> Stream:
        beginning = asyncio.ensure_future(asyncio.to_thread(self._submit, request, adapter))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            # The thread cannot be stopped; what it begins must not go on without a reader.
            beginning.add_done_callback(_cancel_what_began)
            raise

    def _submit(self, request: ChatRequest, adapter: str | None) -> Stream:
        wanted = Request(messages=request.messages, adapter=adapter, sampling=request.sampling)
        try:
            with self._loading:
                self._need_adapter(adapter)
                return self._engine.submit(wanted)
        except PromptTooLongError as error:
            code = "context_length_exceeded"
            raise BadRequest(str(error), param="messages", code=code) from None
        except ExampleError as error:
            raise BadRequest(str(error), param="messages") from None
        except (AdapterError, ModelError) as error:
            raise Unavailable(str(error), code="model_load_failed") from None
        except TunerError as error:
            raise Unavailable(str(error)) from None

    def _need_adapter(self, adapter: str | None) -> None:
        if adapter is None:
            return
        if adapter not in self._adapters:
            self._engine.load_adapter(adapter, Path(adapter))
        self._adapters[adapter] = None
        self._adapters.move_to_end(adapter)
        while len(self._adapters) > MOST_ADAPTERS:
            self._engine.drop_adapter(self._adapters.popitem(last=False)[0])


def _cancel_what_began(beginning: asyncio.Future[Stream]) -> None:
    if beginning.exception() is None:
        beginning.result().cancel()


async def as_response(stream: Stream, request: ChatRequest) -> Response:
    """The answer as events, or whole once it is complete."""
    if request.stream:
        return StreamingResponse(events(stream, request), media_type="text/event-stream")
    try:
        text = "".join([piece async for piece in pieces(stream)])
    except TunerError as error:
        raise Unavailable(str(error)) from None
    writer = CompletionWriter(request.model)
    return JSONResponse(writer.whole(text, stream.finish_reason, usage_of(stream)))


async def events(stream: Stream, request: ChatRequest) -> AsyncIterator[str]:
    """The answer as server-sent events."""
    writer = CompletionWriter(request.model)
    yield writer.opening()
    try:
        async for piece in pieces(stream):
            yield writer.piece(piece)
    except TunerError as error:
        yield Unavailable(str(error)).as_event()
        return
    yield writer.closing(stream.finish_reason, usage_of(stream) if request.include_usage else None)


async def pieces(stream: Stream) -> AsyncIterator[str]:
    """The text of an answer as it comes, all at once that came while the client was slow."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def tell_loop() -> None:
        loop.call_soon_threadsafe(changed.set)

    stream.listen(tell_loop)
    is_finished = False
    while not is_finished:
        await changed.wait()
        changed.clear()
        is_finished = stream.is_finished  # before taking: what comes after is still taken
        text = stream.take()
        if text:
            yield text
    if stream.error:
        raise stream.error


def usage_of(stream: Stream) -> Usage:
    return Usage(stream.prompt_tokens, stream.answer_tokens)


def main() -> None:
    """Load the model, say so, and serve until standard input ends."""
    options = read_options()
    end_with_standard_input()
    transformers_logging.disable_progress_bar()
    listener = listen_at(options.socket)
    engine = load_or_exit(options.base, options.data_dir / "locks" / "cpu")
    report(error=None)
    config = uvicorn.Config(
        make_app(engine),
        log_level="warning",
        access_log=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    threading.Thread(
        target=end_with, args=(engine, server), name="engine watch", daemon=True
    ).start()
    server.run(sockets=[listener])


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="serving.engine", description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    return parser.parse_args()


def make_app(engine: Engine) -> Starlette:
    views = EngineApp(engine)
    routes: list[Any] = [
        Route("/answer", views.answer, methods=["POST"]),
        Route("/adapter", views.drop_adapter, methods=["DELETE"]),
        Route("/healthz", views.health),
    ]
    return Starlette(routes=routes, exception_handlers={Refusal: answer_refusal})


def load_or_exit(base: Path, lock_file: Path) -> Engine:
    try:
        return Engine.load(base, thread_count=partial(polite_thread_count, lock_file))
    except (TunerError, MemoryError) as error:
        report(error=str(error) or "There is not enough memory.")
        raise SystemExit(1) from error


def report(*, error: str | None) -> None:
    """The one line the host waits for. Whatever is printed later goes to the log."""
    sys.stdout.write(json.dumps({"error": error}) + "\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def end_with(engine: Engine, server: uvicorn.Server) -> None:
    """End the process once the engine answers nothing more; the host then starts another."""
    engine.wait()
    server.should_exit = True


def end_with_standard_input() -> None:
    """End at once when the host is gone: the kernel closes our standard input then."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="host watch", daemon=True).start()


if __name__ == "__main__":
    main()
