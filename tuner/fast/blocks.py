"""The two halves of a decoder layer, each one node of the autograd graph.

Kept for the backward pass: a half's input, what its linear layers gave, and little else; what is
cheap is computed again. Knows one layer, not where its rows come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from tuner.fast.attention import Tile, attend, attend_backward
from tuner.fast.norm import Norm
from tuner.fast.projection import Gradients, Projection, draw_kept
from tuner.fast.rotary import rotate, rotate_back


@dataclass(frozen=True)
class Pass:
    """What all layers share in one pass over packed rows."""

    tiles: Sequence[Tile]
    cosines: Tensor  # (length, head size)
    sines: Tensor
    training: bool


@dataclass(frozen=True)
class AttentionHalf:
    """x + o(attention(rotate(q(n)), rotate(k(n)), v(n))) with n = norm(x)."""

    norm: Norm
    query: Projection
    key: Projection
    value: Projection
    output: Projection
    query_norm: Norm | None
    key_norm: Norm | None
    head_size: int
    key_heads: int
    scaling: float

    def trained(self) -> list[nn.Parameter]:
        norms = [norm.weight for norm in (self.norm, self.query_norm, self.key_norm) if norm]
        layers = (self.query, self.key, self.value, self.output)
        return _trained(norms, layers)

    def __call__(self, inputs: Tensor, shared: Pass) -> Tensor:
        result: Tensor = _Attention.apply(inputs, self, shared, *self.trained())  # type: ignore[no-untyped-call]
        return result

    def heads(self, rows: Tensor, norm: Norm | None, shared: Pass) -> Tensor:
        """(length, all heads * size) as turned (key heads, group, length, size), in float32."""
        heads = self.split(rows)
        if norm:
            heads = norm.forward(heads, norm.inverse_length(heads))
        return rotate(heads.movedim(0, 2), shared.cosines, shared.sines)

    def heads_backward(
        self, gradient: Tensor, rows: Tensor, norm: Norm | None, shared: Pass, found: Gradients
    ) -> Tensor:
        """The gradient of `rows`, given that of what `heads` made of them."""
        back = rotate_back(gradient, shared.cosines, shared.sines).movedim(2, 0)
        if norm:
            heads = self.split(rows)
            inverse = norm.inverse_length(heads)
            back = norm.backward(back.to(rows.dtype), heads, inverse, found)
        return back.reshape(rows.shape).to(rows.dtype)

    def split(self, rows: Tensor) -> Tensor:
        """(length, key heads, group, size)."""
        return rows.view(len(rows), self.key_heads, -1, self.head_size)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, half: AttentionHalf, shared: Pass, *_: Tensor) -> Tensor:
        inverse = half.norm.inverse_length(inputs)
        normed = half.norm.forward(inputs, inverse)
        kept = draw_kept(normed, half.query.dropout, shared.training)
        query, query_narrow = half.query.forward(normed, kept)
        key, key_narrow = half.key.forward(normed, kept)
        value, value_narrow = half.value.forward(normed, kept)
        read = _merge(attend(*_prepared(half, query, key, value, shared), shared.tiles))
        kept_read = draw_kept(read, half.output.dropout, shared.training)
        outputs, output_narrow = half.output.forward(read, kept_read)
        ctx.half, ctx.shared = half, shared
        ctx.save_for_backward(
            *(inputs, inverse, kept, query, key, value, read, kept_read),
            *(query_narrow, key_narrow, value_narrow, output_narrow),
        )
        return outputs.add_(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        half, shared = ctx.half, ctx.shared
        inputs, inverse, kept, query, key, value, read, kept_read, *narrow = ctx.saved_tensors
        found: Gradients = {}
        for_read = half.output.backward(gradient, read, narrow[3], kept_read, found)
        prepared = _prepared(half, query, key, value, shared)
        gradients = attend_backward(half.split(for_read).movedim(0, 2), *prepared, shared.tiles)
        for_query = half.heads_backward(
            gradients[0] * half.scaling, query, half.query_norm, shared, found
        )
        for_key = half.heads_backward(gradients[1].unsqueeze(1), key, half.key_norm, shared, found)
        for_value = gradients[2].movedim(0, 1).reshape(value.shape)
        normed = half.norm.forward(inputs, inverse)
        onto = half.query.backward(for_query, normed, narrow[0], kept, found)
        onto = half.key.backward(for_key, normed, narrow[1], kept, found, onto)
        onto = half.value.backward(for_value, normed, narrow[2], kept, found, onto)
        result = half.norm.backward(onto, inputs, inverse, found).add_(gradient)
        return result, None, None, *(found.get(id(tensor)) for tensor in half.trained())


def _prepared(
    half: AttentionHalf, query: Tensor, key: Tensor, value: Tensor, shared: Pass
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as `attend` takes them."""
    queries = half.heads(query, half.query_norm, shared).mul_(half.scaling).to(query.dtype)
    keys = half.heads(key, half.key_norm, shared).squeeze(1).to(key.dtype)
    values = half.split(value).squeeze(2).movedim(0, 1).contiguous()
    return queries, keys, values


def _merge(heads: Tensor) -> Tensor:
    """(key heads, group, length, size) as (length, all heads * size)."""
    return heads.movedim(2, 0).flatten(1)


@dataclass(frozen=True)
class FeedForwardHalf:
    """x + down(silu(gate(n)) * up(n)) with n = norm(x)."""

    norm: Norm
    gate: Projection
    up: Projection
    down: Projection

    def trained(self) -> list[nn.Parameter]:
        return _trained([self.norm.weight], (self.gate, self.up, self.down))

    def __call__(self, inputs: Tensor, shared: Pass) -> Tensor:
        result: Tensor = _FeedForward.apply(inputs, self, shared, *self.trained())  # type: ignore[no-untyped-call]
        return result


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, half: FeedForwardHalf, shared: Pass, *_: Tensor
    ) -> Tensor:
        inverse = half.norm.inverse_length(inputs)
        normed = half.norm.forward(inputs, inverse)
        kept = draw_kept(normed, half.gate.dropout, shared.training)
        gate, gate_narrow = half.gate.forward(normed, kept)
        up, up_narrow = half.up.forward(normed, kept)
        active = silu(gate).mul_(up)
        kept_active = draw_kept(active, half.down.dropout, shared.training)
        outputs, down_narrow = half.down.forward(active, kept_active)
        ctx.half = half
        ctx.save_for_backward(
            *(inputs, inverse, kept, gate, up, kept_active),
            *(gate_narrow, up_narrow, down_narrow),
        )
        return outputs.add_(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        half = ctx.half
        inputs, inverse, kept, gate, up, kept_active, *narrow = ctx.saved_tensors
        found: Gradients = {}
        activated = silu(gate)
        active = activated * up
        for_active = half.down.backward(gradient, active, narrow[2], kept_active, found)
        for_up = activated.mul_(for_active)
        for_gate = torch.ops.aten.silu_backward(for_active.mul_(up), gate)
        normed = half.norm.forward(inputs, inverse)
        onto = half.gate.backward(for_gate, normed, narrow[0], kept, found)
        onto = half.up.backward(for_up, normed, narrow[1], kept, found, onto)
        result = half.norm.backward(onto, inputs, inverse, found).add_(gradient)
        return result, None, None, *(found.get(id(tensor)) for tensor in half.trained())


def _trained(norms: Sequence[nn.Parameter], layers: Sequence[Projection]) -> list[nn.Parameter]:
    trained = [weight for weight in norms if weight.requires_grad]
    return trained + [tensor for layer in layers for tensor in layer.trained()]
