"""A linear layer with or without an adapter: its forward pass, and its backward pass by hand.

By hand because several layers share one input: its gradient is then summed inside the matrix
products, and what the adapter needs is kept once. Knows no attention and no order of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from tuner.light_peft import LoraLayer

Gradients = dict[int, Tensor]
"""Gradients of trained tensors, by the tensor's id."""


@dataclass(frozen=True)
class Projection:
    """One linear layer: y = x W' + b, plus scaling * (x A') B' where it has an adapter."""

    read_weight: Callable[[], Tensor]
    """The weight, (outputs, inputs); a quantised one is unpacked at each call."""
    weight: nn.Parameter | None
    """The weight itself where it is trained."""
    bias: Tensor | None
    down: nn.Parameter | None = None  # A: (rank, inputs)
    up: nn.Parameter | None = None  # B: (outputs, rank)
    scaling: float = 1.0
    dropout: float = 0.0

    @classmethod
    def of(cls, module: Any) -> Projection:
        """The projection that a torch or peft module stands for."""
        base = module.base_layer if isinstance(module, LoraLayer) else module
        trained = base.weight if base.weight.requires_grad else None
        read = _reader(base)
        if not isinstance(module, LoraLayer):
            return cls(read, trained, base.bias)
        (name,) = module.active_adapters
        return cls(
            read,
            trained,
            base.bias,
            down=module.lora_A[name].weight,
            up=module.lora_B[name].weight,
            scaling=module.scaling[name],
            dropout=getattr(module.lora_dropout[name], "p", 0.0),
        )

    def trained(self) -> Iterator[nn.Parameter]:
        for tensor in (self.weight, self.bias, self.down, self.up):
            if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
                yield tensor

    def forward(self, inputs: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(outputs, what the adapter made of the inputs) for inputs (rows, inputs).

        `kept` says which inputs of the adapter dropout keeps, already scaled up; None keeps all.
        """
        dtype = inputs.dtype
        outputs = linear(inputs, self.read_weight().to(dtype), _cast(self.bias, dtype))
        if self.down is None or self.up is None:
            return outputs, None
        seen = inputs if kept is None else inputs * kept
        narrow = linear(seen, self.down.to(dtype))
        return outputs.addmm_(narrow, self.up.to(dtype).t(), alpha=self.scaling), narrow

    def backward(
        self,
        gradient: Tensor,
        inputs: Tensor,
        narrow: Tensor | None,
        kept: Tensor | None,
        gradients: Gradients,
        onto: Tensor | None = None,
    ) -> Tensor:
        """The gradient of the inputs, added to `onto`; those of trained tensors in `gradients`."""
        weight = self.read_weight().to(gradient.dtype)
        passed = gradient @ weight if onto is None else onto.addmm_(gradient, weight)
        if self.weight is not None:
            gradients[id(self.weight)] = gradient.t() @ inputs
        if isinstance(self.bias, nn.Parameter) and self.bias.requires_grad:
            gradients[id(self.bias)] = gradient.sum(dim=0)
        if self.down is None or self.up is None or narrow is None:
            return passed
        scaled = (gradient @ self.up.to(gradient.dtype)).mul_(self.scaling)
        gradients[id(self.up)] = (gradient.t() @ narrow).mul_(self.scaling)
        down = self.down.to(gradient.dtype)
        if kept is None:
            gradients[id(self.down)] = scaled.t() @ inputs
            return passed.addmm_(scaled, down)
        gradients[id(self.down)] = scaled.t() @ (inputs * kept)
        return passed.add_((scaled @ down).mul_(kept))


def draw_kept(inputs: Tensor, dropout: float, training: bool) -> Tensor | None:
    """Which inputs adapters see in this pass, scaled so that the mean stays; None for all."""
    if not training or dropout == 0.0:
        return None
    return torch.empty_like(inputs).bernoulli_(1 - dropout).div_(1 - dropout)


def _cast(tensor: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if tensor is None else tensor.to(dtype)


def _reader(base: Any) -> Callable[[], Tensor]:
    if type(base) is nn.Linear:
        return lambda: base.weight
    return lambda: _unpacked(base.weight)


def _unpacked(weight: Any) -> Tensor:
    from bitsandbytes.functional import dequantize_4bit  # only where a base is quantised

    unpacked: Tensor = dequantize_4bit(weight.data, weight.quant_state)
    return unpacked
