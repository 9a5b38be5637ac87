"""Adapters in peft's format on one shared base model: read, put on, switched at every step.

A linear layer that some adapter changes is wrapped once; which adapter counts is one variable that
the token loop sets before a step, so that switching costs nothing. The arithmetic is peft's own,
in the same order and precision, so that the same tokens come out. Knows no text and no requests.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from tuner.errors import AdapterError
from tuner.layers import LINEAR, weight_shape

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_KEY = re.compile(
    r"^base_model\.model\.(?P<layer>.+)\.lora_(?P<part>A(?=\.weight)|B(?=\.weight)|magnitude_vector$)"
)
_NOT_SERVED = (
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "alora_invocation_tokens",
)


@dataclass(frozen=True)
class LowRank:
    """What an adapter adds to one layer: up(down(x)) times scaling."""

    down: Tensor  # (rank, inputs)
    up: Tensor  # (outputs, rank)
    scaling: float
    magnitude: Tensor | None = None
    """With DoRA: the length that each row of the changed weight is brought to (outputs,)."""
    stretch: Tensor | None = None
    """With DoRA, once the base is known: the factor by which that changes each output."""


@dataclass(frozen=True)
class Adapter:
    """An adapter in memory: for each layer it changes, by the layer's path, the change."""

    folder: Path
    layers: Mapping[str, LowRank]


class AdapterSwitch:
    """A base model whose wrapped layers follow the one adapter that is on."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.current: Adapter | None = None

    def read(self, folder: Path) -> Adapter:
        """The adapter in `folder`, checked against this model and ready to be put on."""
        adapter = read_adapter(folder, next(self._model.parameters()).device)
        for path, change in adapter.layers.items():
            self._wrap(path, change, folder)
        return replace(
            adapter,
            layers={
                path: change if change.magnitude is None else self._stretched(path, change)
                for path, change in adapter.layers.items()
            },
        )

    @contextmanager
    def on(self, adapter: Adapter | None) -> Iterator[None]:
        """Within, the model answers with this adapter; with None as the base model."""
        self.current = adapter
        try:
            yield
        finally:
            self.current = None

    def _wrap(self, path: str, change: LowRank, folder: Path) -> None:
        layer = _find(self._model, path)
        linear = layer.linear if isinstance(layer, AdaptedLinear) else layer
        if not isinstance(linear, LINEAR):
            raise AdapterError(f"{folder} changes {path}, which this base model does not have.")
        if _shape(change) != weight_shape(linear):
            raise AdapterError(f"{folder} was made for another base model: {path} differs in size.")
        if layer is linear:
            parent, _, name = path.rpartition(".")
            setattr(self._model.get_submodule(parent), name, AdaptedLinear(linear, path, self))

    @torch.no_grad()
    def _stretched(self, path: str, change: LowRank) -> LowRank:
        """As Liu et al., DoRA: Weight-Decomposed Low-Rank Adaptation (2024) have it."""
        linear: Any = self._model.get_submodule(path).linear
        rows = linear.weight.float() if isinstance(linear, nn.Linear) else linear.weight.float().T
        lengths = torch.linalg.norm(rows + change.scaling * (change.up @ change.down), dim=1)
        return replace(change, stretch=change.magnitude / lengths)


class AdaptedLinear(nn.Module):
    """A linear layer plus what the adapter that is on adds to it."""

    def __init__(self, linear: Any, path: str, switch: AdapterSwitch) -> None:
        super().__init__()
        self.linear: Any = linear
        self._path = path
        self._switch = switch

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.linear(inputs)
        adapter = self._switch.current
        change = adapter.layers.get(self._path) if adapter else None
        if change is None:
            return result
        narrow = nn.functional.linear(inputs.to(change.down.dtype), change.down)
        added = nn.functional.linear(narrow, change.up)
        if change.stretch is None:
            return (result + added * change.scaling).to(result.dtype)
        plain = result if self.linear.bias is None else result - self.linear.bias
        longer = (change.stretch - 1) * plain
        return (result + longer + change.stretch * added * change.scaling).to(result.dtype)


def read_adapter(folder: Path, device: torch.device | str = "cpu") -> Adapter:
    """The weights and scalings of an adapter folder; AdapterError says what cannot be used."""
    config = _read_config(folder / CONFIG_FILE)
    parts: dict[str, dict[str, Tensor]] = {}
    for key, weight in _read_weights(folder / WEIGHTS_FILE).items():
        match = _KEY.match(key)
        if match is None:
            raise AdapterError(f"{folder} changes {key}, which cannot be served; export it merged.")
        # float32 whatever the base is in: that is how peft loads them.
        parts.setdefault(match["layer"], {})[match["part"]] = weight.to(device, torch.float32)
    return Adapter(
        folder, {path: _low_rank(folder, path, part, config) for path, part in parts.items()}
    )


def _low_rank(
    folder: Path, path: str, parts: Mapping[str, Tensor], config: dict[str, Any]
) -> LowRank:
    expected = {"A", "B", "magnitude_vector"} if config.get("use_dora") else {"A", "B"}
    if parts.keys() != expected:
        raise AdapterError(f"{folder} is incomplete: {path} lacks a part. Export it again.")
    alpha = _for_layer(config.get("alpha_pattern") or {}, path, config["lora_alpha"])
    rank = parts["A"].shape[0]
    divisor = math.sqrt(rank) if config.get("use_rslora") else rank
    return LowRank(
        down=parts["A"],
        up=parts["B"],
        scaling=alpha / divisor,
        magnitude=parts.get("magnitude_vector"),
    )


def _shape(change: LowRank) -> tuple[int, int]:
    return change.up.shape[0], change.down.shape[1]


def _for_layer(patterns: Mapping[str, float], path: str, default: float) -> float:
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", path):
            return value
    return default


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"The adapter's {path} cannot be read: {error}.") from None
    if config.get("peft_type") != "LORA" or not isinstance(config.get("lora_alpha"), int | float):
        raise AdapterError(f"{path.parent} is not a LoRA adapter; only those can be served.")
    used = [name for name in _NOT_SERVED if config.get(name)]
    if used or config.get("bias", "none") != "none":
        kind = ", ".join(used) or "bias"
        raise AdapterError(f"{path.parent} uses {kind}, which cannot be served; export it merged.")
    return dict(config)


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"The adapter's {path} cannot be read: {error}.") from None


def _find(model: nn.Module, path: str) -> nn.Module | None:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None
