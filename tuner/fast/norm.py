"""Root-mean-square normalisation (Zhang & Sennrich, 2019), forward and backward by hand.

Only the inverse length of each row is kept between the two; the rest is computed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tuner.fast.projection import Gradients


@dataclass(frozen=True)
class Norm:
    """y = x / rms(x) * weight over the last dimension, in float32 inside as transformers does."""

    weight: nn.Parameter
    epsilon: float

    def inverse_length(self, inputs: Tensor) -> Tensor:
        """1 / rms of each row, in float32, with the last dimension kept as 1."""
        size = inputs.shape[-1]
        length = torch.linalg.vector_norm(inputs, dim=-1, keepdim=True, dtype=torch.float32)
        inverse: Tensor = length.square_().div_(size).add_(self.epsilon).rsqrt_()
        return inverse

    def forward(self, inputs: Tensor, inverse: Tensor) -> Tensor:
        return _unit(inputs, inverse).mul_(self.weight.to(inputs.dtype))

    def backward(
        self, gradient: Tensor, inputs: Tensor, inverse: Tensor, gradients: Gradients
    ) -> Tensor:
        """The gradient of the inputs; that of the weight, if trained, in `gradients`."""
        unit = _unit(inputs, inverse)
        if self.weight.requires_grad:
            rows = (gradient * unit).reshape(-1, unit.shape[-1])
            gradients[id(self.weight)] = rows.sum(dim=0, dtype=torch.float32)
        weighted = gradient * self.weight.to(gradient.dtype)
        along = (weighted * unit).mean(dim=-1, keepdim=True, dtype=torch.float32)
        weighted.addcmul_(unit, along.to(unit.dtype), value=-1.0)
        return weighted.mul_(inverse.to(weighted.dtype))


def _unit(inputs: Tensor, inverse: Tensor) -> Tensor:
    return (inputs.float() * inverse).to(inputs.dtype)
