"""Tune a fresh adapter on a base with another merged in, and save both as one on the base itself.

Two low-rank changes of a layer, scaling * up @ down each, are one of the ranks' sum: the downs
below each other, the ups side by side. Knows adapters, not how they are tuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tuner.adapters import Adapter, LowRank
from tuner.errors import AdapterError
from tuner.layers import LINEAR, linear_layers, shortest_names

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Stacked:
    """What the fresh adapter stands on."""

    below: Adapter
    linear: list[str]
    """All layers of the base that an adapter could sit on."""


@torch.no_grad()
def merge(model: nn.Module, below: Adapter) -> Stacked:
    """Add the adapter's changes to the model's own weights."""
    linear = linear_layers(model)
    for path, change in below.layers.items():
        layer = model.get_submodule(path) if path in linear else None
        added = change.up @ change.down * change.scaling
        if isinstance(layer, LINEAR):
            added = added if isinstance(layer, nn.Linear) else added.T
        if layer is None or added.shape != layer.weight.shape:
            raise AdapterError(
                f"{below.folder} was made for another base model: {path} does not fit. "
                "Start from a model tuned on this base."
            )
        layer.weight.copy_(layer.weight.float() + added)  # type: ignore[operator]
    return Stacked(below, linear)


def one_adapter(
    weights: Mapping[str, Tensor], config: Mapping[str, Any], stacked: Stacked
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The fresh adapter's peft weights and configuration, with the one below it folded in."""
    rank = int(config["r"])
    scaling = config["lora_alpha"] / (rank**0.5 if config["use_rslora"] else rank)
    fresh = _by_layer(weights, scaling)
    below = stacked.below.layers
    total = rank + max(change.down.shape[0] for change in below.values())
    joined: dict[str, Tensor] = {}
    for path in sorted(fresh.keys() | below.keys()):
        down, up = _join(fresh.get(path), below.get(path), total, scaling)
        joined[f"{_PREFIX}{path}.lora_A.weight"] = down
        joined[f"{_PREFIX}{path}.lora_B.weight"] = up
    alpha = scaling * total
    changed = {
        "r": total,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "use_rslora": False,
        "target_modules": shortest_names(fresh.keys() | below.keys(), stacked.linear),
    }
    return joined, {**config, **changed}


def _join(
    fresh: LowRank | None, below: LowRank | None, rank: int, scaling: float
) -> tuple[Tensor, Tensor]:
    """Both halves at the common rank and scaling; what one part lacks is zero."""
    parts = [part for part in (fresh, below) if part is not None]
    inputs, outputs = parts[0].down.shape[1], parts[0].up.shape[0]
    down, up = torch.zeros(rank, inputs), torch.zeros(outputs, rank)
    row = 0
    for part in parts:
        end = row + part.down.shape[0]
        down[row:end] = part.down.cpu()
        up[:, row:end] = part.up.cpu() * (part.scaling / scaling)
        row = end
    return down, up


def _by_layer(weights: Mapping[str, Tensor], scaling: float) -> dict[str, LowRank]:
    paths = [
        name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        for name in weights
        if name.endswith(".lora_A.weight")
    ]
    return {
        path: LowRank(
            down=weights[f"{_PREFIX}{path}.lora_A.weight"].detach(),
            up=weights[f"{_PREFIX}{path}.lora_B.weight"].detach(),
            scaling=scaling,
        )
        for path in paths
    }
