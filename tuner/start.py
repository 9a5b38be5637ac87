"""A tuned model that another run starts from: what its folder says, and whether it can be used.

Torch is not needed, so that a job can be refused before it is queued. Knows files, not weights.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuner.convert import weight_files
from tuner.errors import AdapterError
from tuner.settings import TuningSettings

START_MODES = ("continue", "stack")
CONFIG_FILE = "adapter_config.json"
"""In the folder of every adapter, under peft's name for it."""
_SETTINGS_FILE = "settings.json"
_SAMPLES, _SAMPLE_BYTES = 64, 4096
_UNKNOWN_PARTS = ("modules_to_save", "lora_bias", "layer_replication", "alora_invocation_tokens")


@dataclass(frozen=True)
class Start:
    """An adapter to start from: its folder, and what a run must share with it."""

    folder: Path
    rank: int
    alpha: float
    use_rslora: bool
    use_dora: bool

    @property
    def scaling(self) -> float:
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)


def read_start(folder: Path) -> Start:
    """The adapter in `folder`; AdapterError if there is none that can be started from."""
    config = _read(folder / CONFIG_FILE)
    unknown = [name for name in _UNKNOWN_PARTS if config.get(name)]
    if config.get("peft_type") != "LORA" or unknown or config.get("bias", "none") != "none":
        what = ", ".join(unknown) or "something else than LoRA layers"
        raise AdapterError(f"{folder} holds {what}; a job can only start from plain LoRA adapters.")
    try:
        return Start(
            folder,
            int(config["r"]),
            float(config["lora_alpha"]),
            bool(config.get("use_rslora")),
            bool(config.get("use_dora")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AdapterError(
            f"{folder / CONFIG_FILE} is damaged ({error!r}). Start from another tuned model."
        ) from None


def check_start(folder: Path, mode: str, settings: TuningSettings, base: Path) -> Start:
    """The adapter to start from; AdapterError says why these settings cannot go on from it."""
    if mode not in START_MODES:
        raise AdapterError(f"A job starts from a model by {' or '.join(START_MODES)}, not {mode}.")
    if not settings.uses_adapter:
        raise AdapterError(
            "Full tuning cannot start from an adapter. Choose the method lora, or start from a "
            "whole tuned model."
        )
    start = read_start(folder)
    _check_base(folder, base)
    if mode == "continue":
        _check_continued(start, settings)
    else:
        _check_stacked(start, settings)
    return start


def _check_continued(start: Start, settings: TuningSettings) -> None:
    otherwise = "or stack a new adapter on it"
    if start.rank != settings.lora_rank:
        raise AdapterError(
            f"The model to start from has an adapter of size {start.rank}, the job asks for "
            f"{settings.lora_rank}. Set the adapter size to {start.rank}, {otherwise}."
        )
    if settings.lora_alpha is not None and start.alpha != settings.lora_alpha:
        raise AdapterError(
            f"The model to start from has the alpha {start.alpha:g}, the job asks for "
            f"{settings.lora_alpha}. Leave alpha empty, {otherwise}."
        )
    for name, theirs, ours in (
        ("rsLoRA", start.use_rslora, settings.use_rslora),
        ("DoRA", start.use_dora, settings.use_dora),
    ):
        if theirs != ours:
            raise AdapterError(
                f"The model to start from was tuned {'with' if theirs else 'without'} {name}. "
                f"Switch it {'on' if theirs else 'off'} to continue it."
            )


def _check_stacked(start: Start, settings: TuningSettings) -> None:
    if start.use_dora or settings.use_dora:
        raise AdapterError(
            "An adapter with DoRA cannot be one of a stack. Continue the adapter instead, or "
            "start from the base model."
        )
    if settings.method == "qlora":
        raise AdapterError(
            "An adapter cannot be merged into a 4-bit base. Choose the method lora to stack, "
            "or continue the adapter."
        )


def _check_base(folder: Path, base: Path) -> None:
    """Where the adapter's folder says what it was tuned on, that must be this base."""
    if not (folder / _SETTINGS_FILE).exists():
        return
    known = _read(folder / _SETTINGS_FILE)
    if known.get("base_fingerprint", fingerprint(base)) != fingerprint(base):
        raise AdapterError(
            f"The model to start from was tuned on another base model ({known.get('base')}). "
            "Choose that one as the base."
        )


def fingerprint(base: Path) -> str:
    """Tells base models apart by their sizes and samples of their weights, at once."""
    digest = hashlib.sha256()
    for path in weight_files(base):
        size = path.stat().st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"{path} cannot be read ({error}). Start from another tuned model."
        ) from None
    if not isinstance(value, dict):
        raise AdapterError(f"{path} is damaged. Start from another tuned model.")
    return value
