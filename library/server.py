"""The one client of the model server: register a model, ask it, forget it.

Knows the server's HTTP interface and its address, and nothing of how answers are made: whatever
speaks OpenAI's interface may stand there. Every failure is a ServerError with a sentence for the
person who asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from asgiref.sync import async_to_sync
from django.conf import settings

from library.models import BaseModel, TunedModel
from tuner.examples import Message

LOADING_AFTER_SECONDS = 0.7
"""A model that is in memory answers sooner; after this a page may say that it is being loaded."""
UNKNOWN_PATH = {404, 405}
AWAY = "The model server does not answer. It starts again by itself; try again in a few seconds."
BROKE_OFF = "The model server stopped in the middle of the answer. Send your prompt again."


class ServerError(Exception):
    """The model cannot be asked; the text says why and what to do."""


@dataclass(frozen=True)
class Loading:
    """The model is being brought into memory."""


@dataclass(frozen=True)
class Piece:
    """Some more of the answer."""

    text: str


@dataclass(frozen=True)
class End:
    """The answer is complete: why, and how fast it came."""

    reason: str
    answer_tokens: int
    tokens_per_second: float | None


Event = Loading | Piece | End
Model = BaseModel | TunedModel


async def stream_answer(
    model: Model, messages: Sequence[Message], parameters: Mapping[str, Any]
) -> AsyncGenerator[Event, None]:
    """The model's answer as it comes. Closing the iterator ends the generation."""
    payload = {
        "model": served_name(model),
        "messages": [message.as_dict() for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **parameters,
    }
    async with connected() as http:
        await register(http, model)
        request = http.build_request("POST", "/v1/chat/completions", json=payload)
        sending = asyncio.ensure_future(http.send(request, stream=True))
        try:
            if not (await asyncio.wait({sending}, timeout=LOADING_AFTER_SECONDS))[0]:
                yield Loading()
            response = await sending
        finally:
            sending.cancel()
        async with aclosing(response):
            await refuse_errors(response)
            async for event in read_events(response):
                yield event


def forget(name: str) -> None:
    """Tell the server that a model is gone. One that is away has forgotten it already."""
    async_to_sync(_forget)(name)


async def _forget(name: str) -> None:
    with contextlib.suppress(ServerError):
        async with connected() as http:
            await http.delete(f"/models/{name}", timeout=2)


def served_name(model: Model) -> str:
    """What the server knows a model by: a tuned model's name may be used by many people."""
    return model.name if isinstance(model, BaseModel) else str(model.pk)


async def register(http: httpx.AsyncClient, model: Model) -> None:
    """Tell the server where the model lies, every time: it may have been started again since."""
    response = await http.put(f"/models/{served_name(model)}", json=folders_of(model))
    if response.status_code == 400:
        raise ServerError(
            f"The files of {model.name} are not complete any more. "
            "Tune it again, or choose another model."
        )
    if response.status_code not in UNKNOWN_PATH:  # a server that is told its models otherwise
        await refuse_errors(response)


def folders_of(model: Model) -> dict[str, str | None]:
    """The weights that answer, and the adapter on them; a whole model needs none."""
    if isinstance(model, BaseModel):
        return {"base": str(model.folder), "adapter": None}
    adapter = None if model.is_whole else str(model.folder)
    return {"base": str(model.weights_folder), "adapter": adapter}


async def refuse_errors(response: httpx.Response) -> None:
    """Raise the server's own sentence if it refused."""
    if response.status_code == 401:
        raise ServerError("The model server does not accept the studio's secret. Restart it.")
    if response.is_success:
        return
    try:
        raise ServerError(json.loads(await response.aread())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        raise ServerError(
            f"The model server failed with status {response.status_code}. See its log."
        ) from None


async def read_events(response: httpx.Response) -> AsyncIterator[Event]:
    """What the server-sent events of a completion mean."""
    first_at, reason, tokens = None, None, 0
    async for line in response.aiter_lines():
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            continue
        given = json.loads(data)
        if "error" in given:
            raise ServerError(given["error"]["message"])
        tokens = (given.get("usage") or {}).get("completion_tokens", tokens)
        for choice in given["choices"]:
            reason = choice.get("finish_reason") or reason
            if text := choice["delta"].get("content"):
                first_at = first_at or time.monotonic()
                yield Piece(text)
    if reason is None:
        raise ServerError(BROKE_OFF)
    yield End(reason, tokens, speed(tokens, first_at))


def speed(tokens: int, first_at: float | None) -> float | None:
    """Tokens a second after the first, which also took reading the prompt."""
    if first_at is None or tokens < 2:
        return None
    return (tokens - 1) / max(time.monotonic() - first_at, 1e-6)


@asynccontextmanager
async def connected() -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server at SERVING_URL; not reaching it is a ServerError."""
    address = settings.SERVING_URL
    socket = address.removeprefix("unix://") if address.startswith("unix://") else None
    transport = httpx.AsyncHTTPTransport(uds=socket, verify=address.startswith("https:"))
    client = httpx.AsyncClient(
        transport=transport,
        base_url="http://serving" if socket else address,
        headers=authorization(),
        # A model may take minutes to load; whoever does not want to wait hangs up.
        timeout=httpx.Timeout(10, read=None),
    )
    try:
        async with client:
            yield client
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise ServerError(AWAY) from None
    except httpx.TransportError:
        raise ServerError(BROKE_OFF) from None


def authorization() -> dict[str, str]:
    """The secret that the server asks for, if there is one."""
    path = Path(settings.SERVING_SECRET_FILE)
    if not path.exists():
        return {}
    return {"Authorization": f"Bearer {path.read_text(encoding='ascii').strip()}"}
