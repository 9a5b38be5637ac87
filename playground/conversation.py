"""A conversation as the page keeps it: what was asked, and what each model answered.

Nothing of it is stored: the page holds it and sends it back. Knows no forms and no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.core.exceptions import ValidationError

from library.models import TunedModel
from playground.models_to_ask import Model
from tuner.examples import ROLES, Message

UNREADABLE = "The conversation could not be read. Reload the page to begin a new one."


@dataclass(frozen=True)
class Answer:
    """What one model said to one prompt, how it ended, or what went wrong."""

    model_id: str
    name: str
    is_tuned: bool
    text: str
    note: str = ""
    error: str = ""

    @classmethod
    def of(cls, model: Model, text: str, *, note: str = "", error: str = "") -> Answer:
        is_tuned = isinstance(model, TunedModel)
        return cls(str(model.pk), model.name, is_tuned, text, note=note, error=error)


@dataclass(frozen=True)
class Exchange:
    """A prompt and the answers to it, side by side."""

    prompt: str
    answers: tuple[Answer, ...]


def turns_for(model: Model, history: Sequence[Exchange], prompt: str) -> list[Message]:
    """The conversation as this model knows it: only its own answers, and then the prompt."""
    turns = []
    for exchange in history:
        for answer in exchange.answers:
            if answer.model_id == str(model.pk) and answer.text:
                turns += [Message("user", exchange.prompt), Message("assistant", answer.text)]
    return [*turns, Message("user", prompt)]


def as_json(history: Sequence[Exchange]) -> list[dict[str, Any]]:
    """The history as the page keeps it."""
    return [asdict(exchange) for exchange in history]


def read_history(given: Any) -> list[Exchange]:
    """The history that a page sent back."""
    try:
        return [
            Exchange(str(item["prompt"]), tuple(_read_answer(answer) for answer in item["answers"]))
            for item in given
        ]
    except (KeyError, TypeError) as error:
        raise ValidationError(UNREADABLE) from error


def _read_answer(given: dict[str, Any]) -> Answer:
    return Answer(
        model_id=str(given["model_id"]),
        name=str(given["name"]),
        is_tuned=bool(given["is_tuned"]),
        text=str(given["text"]),
        note=str(given["note"]),
        error=str(given["error"]),
    )


def read_turns(given: Any) -> list[Message]:
    """Turns that a page's script sent."""
    try:
        turns = [Message(turn["role"], turn["content"]) for turn in given]
    except (KeyError, TypeError) as error:
        raise ValidationError(UNREADABLE) from error
    if not all(turn.role in ROLES and isinstance(turn.content, str) for turn in turns):
        raise ValidationError(UNREADABLE)
    return turns
