"""The chat completion interface: reading a request, writing answers. No model, no sockets.

It is OpenAI's, with top_k added. A parameter that would change the answer and is not supported is
refused by name: a client must not believe that it was obeyed.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.refusals import BadRequest
from tuner.examples import ROLES, Message
from tuner.sampling import Sampling, SamplingError

_NUMBERS = {"temperature": float, "top_p": float, "top_k": int, "max_tokens": int, "seed": int}
_ACCEPTED = {
    *_NUMBERS,
    "model",
    "messages",
    "stream",
    "stream_options",
    "stop",
    "max_completion_tokens",
    "user",
}
_HARMLESS = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}
"""Parameters accepted only at the value that changes nothing."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """A checked request for one completion."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    stream: bool
    include_usage: bool


def read_request(body: bytes) -> ChatRequest:
    """The request in a JSON body; BadRequest names the parameter that is wrong."""
    try:
        given = json.loads(body)
    except ValueError:
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object.")
    _refuse_unsupported(given)
    options = _typed(given, "stream_options", dict) or {}
    return ChatRequest(
        model=_required(given, "model", str),
        messages=_read_messages(_required(given, "messages", list)),
        sampling=_read_sampling(given),
        stream=bool(_typed(given, "stream", bool)),
        include_usage=bool(options.get("include_usage")),
    )


def _refuse_unsupported(given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in _ACCEPTED or value is None or (name in _HARMLESS and value == _HARMLESS[name]):
            continue
        raise BadRequest(f"{name} is not supported here. Leave it out.", param=name)


def _read_sampling(given: Mapping[str, Any]) -> Sampling:
    chosen = {name: _number(given, name, kind) for name, kind in _NUMBERS.items()}
    if chosen["max_tokens"] is None:
        chosen["max_tokens"] = _number(given, "max_completion_tokens", int)
    set_ones = {name: value for name, value in chosen.items() if value is not None}
    try:
        return Sampling(**set_ones, stop=_read_stop(given.get("stop")))  # type: ignore[arg-type]
    except SamplingError as error:
        raise BadRequest(str(error), param=error.field) from None


def _number(given: Mapping[str, Any], name: str, kind: type[int] | type[float]) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    # JSON has one kind of number, and to Python true is 1.
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        wanted = "a whole number" if kind is int else "a number"
        raise BadRequest(f"{name} must be {wanted}, not {json.dumps(value)}.", param=name)
    return kind(value)


def _read_stop(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest("stop must be a text or a list of texts.", param="stop")
    return tuple(stops)


def _read_messages(given: list[Any]) -> tuple[Message, ...]:
    if not given:
        raise BadRequest("messages must have at least one message.", param="messages")
    return tuple(_read_message(message, index) for index, message in enumerate(given))


def _read_message(given: Any, index: int) -> Message:
    place = f"messages[{index}]"
    if not isinstance(given, dict):
        raise BadRequest(f"{place} must be an object with role and content.", param="messages")
    role = "system" if given.get("role") == "developer" else given.get("role")
    if role not in ROLES:
        names = ", ".join(ROLES)
        raise BadRequest(f"{place}.role must be one of {names}.", param=f"{place}.role")
    return Message(role, _read_content(given.get("content"), f"{place}.content"))


def _read_content(content: Any, place: str) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequest(f"{place} must be text, or a list of text parts.", param=place)
    return "".join(str(text) for text in texts)


def _typed(given: Mapping[str, Any], name: str, kind: type) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        wanted = {str: "a text", list: "a list", bool: "true or false", dict: "an object"}[kind]
        raise BadRequest(f"{name} must be {wanted}, not {json.dumps(value)}.", param=name)
    return value


def _required(given: Mapping[str, Any], name: str, kind: type) -> Any:
    value = _typed(given, name, kind)
    if value is None:
        raise BadRequest(f"{name} is missing.", param=name)
    return value


@dataclass(frozen=True)
class Usage:
    """How many tokens were read and said."""

    prompt_tokens: int
    completion_tokens: int

    def as_dict(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True)
class CompletionWriter:
    """Writes one completion, whole or as events, under one id."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, finish_reason: str | None, usage: Usage) -> dict[str, Any]:
        """The answer to a request that does not stream."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return {**self._frame("chat.completion", [choice]), "usage": usage.as_dict()}

    def opening(self) -> str:
        """The first event: who speaks."""
        return self._event({"role": "assistant", "content": ""}, None)

    def piece(self, text: str) -> str:
        """An event with some of the answer."""
        return self._event({"content": text}, None)

    def closing(self, finish_reason: str | None, usage: Usage | None) -> str:
        """The last events: why it ended, what it took if asked for, and the end mark."""
        events = self._event({}, finish_reason)
        if usage:
            frame = {**self._frame("chat.completion.chunk", []), "usage": usage.as_dict()}
            events += f"data: {json.dumps(frame)}\n\n"
        return events + "data: [DONE]\n\n"

    def _event(self, delta: dict[str, str], finish_reason: str | None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return f"data: {json.dumps(self._frame('chat.completion.chunk', [choice]))}\n\n"

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
