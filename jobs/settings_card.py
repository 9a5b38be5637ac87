"""The card of a job's settings: what was chosen other than usual first, all of it behind a fold.

Knows words; what the settings do is the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from jobs.data_parts import parts_of
from jobs.models import Job
from jobs.setting_fields import (
    AUTOMATIC,
    CHOICES,
    DEFAULTS,
    EMPTY_MEANS,
    LABELS,
    VALIDATION_SHARE,
)
from tuner.settings import TuningSettings, label

FIRST = ("method", "epochs", "batch_size", "learning_rate_multiplier", "lora_rank")
"""Shown whether they were changed or not: what anyone asks about first."""
ADAPTER = ("lora_rank", "lora_alpha", "lora_dropout", "lora_layers", "use_rslora", "use_dora")


@dataclass(frozen=True)
class Line:
    """One setting in words."""

    label: str
    value: str
    is_changed: bool
    note: str = ""


def lines(chosen: Mapping[str, Any], automatic: list[str]) -> list[Line]:
    """Every setting that has a meaning for the method, in the order of the schema."""
    settings = TuningSettings.from_dict(chosen)
    names = [it.name for it in fields(settings) if it.name != "learning_rate"]  # has its own line
    return [
        line(name, getattr(settings, name), name in automatic)
        for name in names
        if settings.uses_adapter or name not in ADAPTER
    ]


def line(name: str, value: Any, is_automatic: bool) -> Line:
    """One setting; automatic ones say that the studio chose."""
    default = VALIDATION_SHARE if name == "validation_share" else getattr(DEFAULTS, name)
    return Line(
        label=LABELS.get(name, label(name)),
        value=in_words(name, value),
        is_changed=value != default,
        note="auto" if is_automatic and name in AUTOMATIC else "",
    )


def in_words(name: str, value: Any) -> str:
    """A value as a person reads it."""
    if value is None:
        return EMPTY_MEANS.get(name, "automatic")
    if isinstance(value, bool):
        return "on" if value else "off"
    if name in CHOICES:
        return CHOICES[name][value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def card(job: Job) -> dict[str, Any]:
    """What it was tuned on, what stands in the open, and everything else behind the fold."""
    every = lines(job.settings, job.automatic)
    if job.validation_version_id:
        every = [it for it in every if it.label != LABELS["validation_share"]]
    first = {LABELS.get(name, label(name)) for name in FIRST}
    return {
        "parts": parts_of(job),
        "shown": [it for it in every if it.is_changed or it.label in first],
        "others": [it for it in every if not it.is_changed and it.label not in first],
    }
