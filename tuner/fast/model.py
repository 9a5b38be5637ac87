"""A loaded decoder run the fast way: packed rows in, hidden rows where an answer is predicted out.

Built on the modules of a transformers model, with or without peft around it, and on their weights:
nothing is copied. Which models fit is asked first, of the model and not of its name alone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tuner.batch import Pack
from tuner.fast.blocks import AttentionHalf, FeedForwardHalf, Pass
from tuner.fast.norm import Norm
from tuner.fast.projection import Projection


class FastDecoder:
    """The decoder of one model; called once for each pack."""

    def __init__(self, model: Any, dtype: torch.dtype, *, checkpointing: bool = False) -> None:
        causal = causal_model(model)
        self._decoder = causal.model
        self._head = causal.lm_head
        self._dtype = dtype
        self._checkpointing = checkpointing
        self._norm = _norm(self._decoder.norm)
        self._layers = [
            (_attention_half(layer), _feed_forward_half(layer)) for layer in self._decoder.layers
        ]

    @property
    def head_weight(self) -> Tensor:
        """(vocabulary, hidden); tied to the embedding where the model ties it."""
        weight: Tensor = self._head.weight
        return weight

    def __call__(self, pack: Pack) -> Tensor:
        """Hidden rows (answers, hidden), in the order of `pack.predicting`."""
        rows = self._decoder.embed_tokens(pack.ids).to(self._dtype)
        shared = self._pass(pack)
        *body, (attention, feed_forward) = self._layers
        for halves in body:
            rows = self._layer(rows, halves, shared)
        # After the last attention no row reads another: only those that predict go on.
        rows = attention(rows, shared)[pack.predicting]
        rows = feed_forward(rows, shared)
        return _FinalNorm.apply(rows, self._norm, self._norm.weight)  # type: ignore[no-any-return, no-untyped-call]

    def _layer(
        self, rows: Tensor, halves: tuple[AttentionHalf, FeedForwardHalf], shared: Pass
    ) -> Tensor:
        def through(inputs: Tensor) -> Tensor:
            return halves[1](halves[0](inputs, shared), shared)

        if not (self._checkpointing and torch.is_grad_enabled()):
            return through(rows)
        again: Tensor = checkpoint(through, rows, use_reentrant=False)
        return again

    def _pass(self, pack: Pack) -> Pass:
        like = torch.empty(0, dtype=torch.float32, device=pack.ids.device)
        cosines, sines = self._decoder.rotary_emb(like, position_ids=pack.positions[None])
        return Pass(pack.tiles(self._dtype), cosines[0], sines[0], self._decoder.training)


class _FinalNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, norm: Norm, _: Tensor) -> Tensor:
        inverse = norm.inverse_length(inputs)
        ctx.norm = norm
        ctx.save_for_backward(inputs, inverse)
        return norm.forward(inputs, inverse)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found: dict[int, Tensor] = {}
        passed = ctx.norm.backward(gradient, *ctx.saved_tensors, found)
        return passed, None, found.get(id(ctx.norm.weight))


def causal_model(model: Any) -> Any:
    """The transformers model, without peft's wrapping."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def fits(model: Any, longest: int) -> bool:
    """Whether this very model, for examples of at most `longest` tokens, is of the proven kind."""
    config = causal_model(model).config
    window = getattr(config, "sliding_window", None)
    windowed = window is not None and longest > window
    return (
        config.hidden_act == "silu"
        and not windowed
        and not getattr(config, "attention_dropout", 0.0)
        and not getattr(config, "mlp_bias", False)
    )


def _norm(module: Any) -> Norm:
    return Norm(module.weight, module.variance_epsilon)


def _attention_half(layer: Any) -> AttentionHalf:
    attention = layer.self_attn
    head_size = attention.head_dim
    key = Projection.of(attention.k_proj)
    has_norms = hasattr(attention, "q_norm")
    return AttentionHalf(
        norm=_norm(layer.input_layernorm),
        query=Projection.of(attention.q_proj),
        key=key,
        value=Projection.of(attention.v_proj),
        output=Projection.of(attention.o_proj),
        query_norm=_norm(attention.q_norm) if has_norms else None,
        key_norm=_norm(attention.k_norm) if has_norms else None,
        head_size=head_size,
        key_heads=attention.k_proj.out_features // head_size,
        scaling=attention.scaling,
    )


def _feed_forward_half(layer: Any) -> FeedForwardHalf:
    return FeedForwardHalf(
        norm=_norm(layer.post_attention_layernorm),
        gate=Projection.of(layer.mlp.gate_proj),
        up=Projection.of(layer.mlp.up_proj),
        down=Projection.of(layer.mlp.down_proj),
    )
