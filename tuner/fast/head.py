"""The loss head: cross-entropy from hidden rows, some rows at a time.

A vocabulary is so wide that logits of all rows would outweigh the rest of the model; the gradient
of each portion is therefore taken at once and only that of the rows is kept, as in Liger (Hsu et
al., 2024). Knows rows and targets, not where they come from.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_PORTION_ELEMENTS = 1 << 24
"""Logits held at once: 64 MB in float32."""


def token_losses(rows: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(loss of each row's target, whether the model would have said it), both (rows,).

    The losses carry a gradient to `rows` (rows, hidden) and to `weight` (vocabulary, hidden), as
    if each were summed: whoever weighs them does so by one factor for all.
    """
    losses: Tensor
    correct: Tensor
    losses, correct = _Head.apply(rows, weight, targets)  # type: ignore[no-untyped-call]
    return losses, correct


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        for_rows = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        for_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        losses, correct = [], []
        dense = weight.to(rows.dtype)
        portion = max(1, _PORTION_ELEMENTS // len(weight))
        for start in range(0, len(rows), portion):
            part = slice(start, start + portion)
            logs = torch.log_softmax(rows[part] @ dense.t(), dim=-1, dtype=torch.float32)
            aimed = targets[part, None]
            losses.append(-logs.gather(1, aimed).squeeze(1))
            correct.append(logs.argmax(dim=-1) == targets[part])
            if for_rows is None and for_weight is None:
                continue
            logs.exp_().scatter_add_(1, aimed, logs.new_full(aimed.shape, -1.0))
            gradient = logs.to(rows.dtype)
            if for_rows is not None:
                for_rows[part] = gradient @ dense
            if for_weight is not None:
                for_weight.add_(gradient.t() @ rows[part])
        ctx.save_for_backward(for_rows, for_weight)
        flags = torch.cat(correct)
        ctx.mark_non_differentiable(flags)
        return torch.cat(losses), flags

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        for_rows, for_weight = ctx.saved_tensors
        factor = gradient[0]
        return (
            None if for_rows is None else for_rows.mul_(factor.to(for_rows.dtype)),
            None if for_weight is None else for_weight.mul_(factor.to(for_weight.dtype)),
            None,
        )
