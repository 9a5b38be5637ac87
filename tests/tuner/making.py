"""What the engine's tests are made of: a few examples and short runs on the tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tuner.events import Event, Finished, Step
from tuner.examples import Example, Message
from tuner.settings import TuningSettings
from tuner.train import train

COUNTING = [Example.from_pair(str(number), str(number + 1)) for number in range(40, 52)]
CONVERSATION = Example(
    (
        Message("system", "Be brief."),
        Message("user", "Next after 41, é 世?"),
        Message("assistant", " 42 世界\n"),
        Message("user", "go on"),
        Message("assistant", "43"),
    )
)


def run(
    base: Path,
    folder: Path,
    *,
    examples: Sequence[Example] = COUNTING,
    settings: TuningSettings | None = None,
    **options: Any,
) -> list[Event]:
    """All events of one training run."""
    settings = settings or TuningSettings(epochs=2)
    return list(train(settings, examples, folder, base=base, **options))


def losses(events: Sequence[Event]) -> list[float]:
    return [event.train_loss for event in events if isinstance(event, Step)]


def finished(events: Sequence[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished)
    return last
