"""Rotary position embedding (Su et al., 2021) on whole heads, and back.

Works in float32 and follows transformers' layout: a head's first half pairs with its second.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn (..., length, size) by the angles of (length, size); the result is float32."""
    halves = heads.float()
    half = heads.shape[-1] // 2
    turned = halves * cosines
    turned[..., :half].addcmul_(halves[..., half:], sines[..., :half], value=-1.0)
    turned[..., half:].addcmul_(halves[..., :half], sines[..., half:])
    return turned


def rotate_back(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """The gradient through `rotate`: the turn the other way, since it is its own transpose."""
    return rotate(heads, cosines, torch.neg(sines))
