"""Which layers of a model an adapter sits on, by the groups and names a person chose.

Knows how families name their parts, from the paths of their modules; nothing of adapters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from tuner.errors import SettingsError
from tuner.settings import ADAPTED_LAYERS

LINEAR = (nn.Linear, Conv1D)
"""What an adapter can sit on; the second is what gpt2 calls a linear layer."""

_GROUPS = {
    "attention": re.compile(r"attn|attention"),
    "mlp": re.compile(r"mlp|feed_forward|ffn|expert|moe"),
}
_NAMES_SHOWN = 12


def weight_shape(linear: Any) -> tuple[int, int]:
    """(outputs, inputs) of a linear layer: gpt2's keeps its weight the other way round."""
    rows, columns = linear.weight.shape
    return (rows, columns) if isinstance(linear, nn.Linear) else (columns, rows)


def adapted_layers(model: Any, wanted: tuple[str, ...]) -> list[str]:
    """The shortest names that peft needs to find exactly the wanted layers of `model`."""
    linear = linear_layers(model)
    return shortest_names({path for name in wanted for path in _matching(name, linear)}, linear)


def shortest_names(chosen: Set[str], linear: Sequence[str]) -> list[str]:
    """The shortest names that mean just the chosen ones among all linear layers."""
    return sorted({_shortest_name(path, chosen, linear) for path in chosen})


def linear_layers(model: Any) -> list[str]:
    """The path of every linear layer except the head."""
    head = model.get_output_embeddings()
    return [
        path
        for path, module in model.named_modules()
        if isinstance(module, LINEAR) and module is not head
    ]


def _matching(name: str, linear: list[str]) -> list[str]:
    if name == "all":
        return linear
    if name in _GROUPS:
        found = [path for path in linear if _GROUPS[name].search(path.rpartition(".")[0])]
    else:
        found = [path for path in linear if _ends_with(path, name)]
    if found:
        return found
    there = sorted({path.rpartition(".")[2] for path in linear})
    shown = ", ".join(there[:_NAMES_SHOWN])
    raise SettingsError(
        f"LoRA layers: this base model has no linear layer {name!r}. "
        f"Choose {', '.join(ADAPTED_LAYERS)}, or from its own: {shown}."
    )


def _shortest_name(path: str, chosen: Set[str], linear: Sequence[str]) -> str:
    """The last parts of a path, as many as it takes to name no layer that is not chosen."""
    parts = path.split(".")
    for start in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[start:])
        if all(other in chosen for other in linear if _ends_with(other, name)):
            return name
    return path


def _ends_with(path: str, name: str) -> bool:
    return path == name or path.endswith(f".{name}")
