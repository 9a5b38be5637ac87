"""The weights a run changes: what the optimiser steps, and how the model gets them back.

Where a model computes in bfloat16, steps would be lost in its rounding, so that such weights get a
copy in float32, the master, that is stepped in their place (Micikevicius et al., Mixed Precision
Training, 2018). Knows weights and gradients, not losses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuner.weights import read_into, writer


class Trainable:
    """The trainable weights of a model, in the order the model names them."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = {
            name: weight for name, weight in model.named_parameters() if weight.requires_grad
        }
        self._stepped = {
            name: weight if weight.dtype == torch.float32 else _with_master(weight)
            for name, weight in self._weights.items()
        }

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser steps and whose gradients are clipped."""
        return list(self._stepped.values())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The same by name, as a checkpoint keeps them."""
        return {name: weight.detach() for name, weight in self._stepped.items()}

    @property
    def count(self) -> int:
        return sum(weight.numel() for weight in self._stepped.values())

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """For the optimiser: biases and the scales of norms are not pulled towards zero."""
        matrices = [weight for weight in self.parameters if weight.dim() > 1]
        vectors = [weight for weight in self.parameters if weight.dim() <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def save(self, path: Path) -> None:
        """Keep the weights as they are now in a file, for `load`."""
        writer(self.tensors)(path)

    def load(self, path: Path) -> None:
        """Put the weights that `save` kept back; ValueError says what does not fit."""
        read_into(path, self.tensors)
        self.publish()

    @torch.no_grad()
    def publish(self) -> None:
        """After a step: round the masters into the weights that the model computes with."""
        for name, weight in self._weights.items():
            if weight is not self._stepped[name]:
                weight.copy_(self._stepped[name])


def _with_master(weight: nn.Parameter) -> nn.Parameter:
    """The float32 copy of a weight; gradients of the weight gather there, in float32 too."""
    master = nn.Parameter(weight.detach().float())

    def take_gradient(computed: Tensor) -> None:
        gradient = computed.grad
        assert gradient is not None
        if master.grad is None:
            master.grad = gradient.float()
        else:
            master.grad += gradient
        computed.grad = None

    hook: Any = weight.register_post_accumulate_grad_hook
    hook(take_gradient)
    return master
