"""The host: names of models, who may ask, and passing requests on to engines and answers back.

Up at once, because it imports no torch. What is wrong with a request is said here, before any
engine is started for it.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.chat import read_request
from serving.connection import Respond, WhileConnected, read_body
from serving.fleet import EngineProcess, Fleet
from serving.refusals import BadRequest, Refusal, Unauthorized, Unavailable, answer_refusal
from serving.registry import Registered, Registry

log = logging.getLogger(__name__)

ENGINE_SILENT = "The model's engine does not answer now. Send it again in a few seconds."
ENGINE_STOPPED = "The model's engine stopped before the answer was complete. Send it again."


class Host:
    """The views of the host over its registry and its engines."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._registry = Registry()

    async def complete(self, request: Request) -> Response:
        """POST /v1/chat/completions"""
        body = await read_body(request)
        model = self._registry.find(read_request(body).model)

        async def relay(respond: Respond) -> None:
            async with answering(self._fleet, model, body) as upstream:
                await respond(as_response(upstream))

        return WhileConnected(relay)

    async def list_models(self, request: Request) -> Response:
        """GET /v1/models"""
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "studio"}
            for name in self._registry.names()
        ]
        return JSONResponse({"object": "list", "data": models})

    async def put_model(self, request: Request) -> Response:
        """PUT /models/{name}"""
        name = request.path_params["name"]
        try:
            given = json.loads(await read_body(request))
        except ValueError:
            raise BadRequest("The body is not JSON.") from None
        self._registry.put(name, given)
        return JSONResponse({"id": name})

    async def delete_model(self, request: Request) -> Response:
        """DELETE /models/{name}"""
        model = self._registry.remove(request.path_params["name"])
        engine = self._fleet.find(model.base)
        if engine is None:
            return Response(status_code=204)
        if not self._registry.uses(model.base) and engine.holders == 0:
            await self._fleet.discard(engine)
        elif model.adapter and engine.state == "ready":
            await forget_adapter(engine, model.adapter)
        return Response(status_code=204)

    async def health(self, request: Request) -> Response:
        """GET /healthz"""
        engines = [await engine.health() for engine in self._fleet.running()]
        models = len(self._registry.names())
        return JSONResponse({"status": "ok", "models": models, "engines": engines})


@asynccontextmanager
async def answering(fleet: Fleet, model: Registered, body: bytes) -> AsyncIterator[httpx.Response]:
    """An engine's answer to a request, its body still to come."""
    adapter = str(model.adapter) if model.adapter else None
    payload = {"adapter": adapter, "request": json.loads(body)}
    # Twice: an engine may have died since its last answer, and then its successor is asked. One
    # that lives is asked again and stays, whatever happens: it holds the answers of others.
    for _ in range(2):
        async with fleet.lease(model.base) as engine:
            upstream = await ask(engine, payload)
            if upstream is None:
                if await engine.has_died():
                    await fleet.discard(engine)
                continue
            async with aclosing(upstream):
                yield upstream
            return
    raise Unavailable(ENGINE_SILENT)


async def ask(engine: EngineProcess, payload: dict[str, Any]) -> httpx.Response | None:
    """Send a request to an engine; None if it does not answer."""
    request = engine.client.build_request("POST", "/answer", json=payload)
    try:
        return await engine.client.send(request, stream=True)
    except httpx.TransportError as error:
        log.warning("The engine of %s did not answer: %r", engine.base, error)
        return None


def as_response(upstream: httpx.Response) -> Response:
    """The engine's answer, passed on as it comes."""
    return StreamingResponse(
        passed_on(upstream),
        upstream.status_code,
        headers={"Cache-Control": "no-store"},
        media_type=upstream.headers["content-type"],
    )


async def passed_on(upstream: httpx.Response) -> AsyncIterator[bytes]:
    """The bytes of an answer; if the engine dies on the way, an event that says so.

    What is no stream of events can only be broken off: the client sees that it is not whole.
    """
    try:
        async for chunk in upstream.aiter_raw():
            yield chunk
    except httpx.TransportError:
        if not upstream.headers["content-type"].startswith("text/event-stream"):
            raise
        yield Unavailable(ENGINE_STOPPED).as_event().encode()


async def forget_adapter(engine: EngineProcess, adapter: Path) -> None:
    """Tell an engine to drop an adapter; one that has died has dropped it already."""
    try:
        await engine.client.delete("/adapter", params={"folder": str(adapter)})
    except httpx.TransportError:
        return


class RequireSecret:
    """Lets only those pass who send the secret, once there is one; if it is needed, nobody else."""

    def __init__(self, app: ASGIApp, secret_file: Path, *, is_needed: bool) -> None:
        self._app = app
        self._secret_file = secret_file
        self._is_needed = is_needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            refusal = Unauthorized("The Authorization header does not hold this server's secret.")
            await JSONResponse(refusal.as_dict(), refusal.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        try:
            secret = self._secret_file.read_bytes().strip()
        except FileNotFoundError:
            return not self._is_needed
        given = dict(scope["headers"]).get(b"authorization", b"")
        return bool(secret) and hmac.compare_digest(given, b"Bearer " + secret)


def make_app(
    data_folder: Path, *, memory_bytes: int, most_requests: int, needs_secret: bool
) -> ASGIApp:
    """The host as an ASGI application; its engines stop when it shuts down."""
    fleet = Fleet(
        run_folder=data_folder / "run",
        data_folder=data_folder,
        memory_bytes=memory_bytes,
        most_requests=most_requests,
    )
    host = Host(fleet)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await fleet.close()

    routes = [
        Route("/v1/chat/completions", host.complete, methods=["POST"]),
        Route("/v1/models", host.list_models),
        Route("/models/{name}", host.put_model, methods=["PUT"]),
        Route("/models/{name}", host.delete_model, methods=["DELETE"]),
        Route("/healthz", host.health),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={Refusal: answer_refusal})
    secret_file = data_folder / "run" / "serving.secret"
    return RequireSecret(app, secret_file, is_needed=needs_secret)
