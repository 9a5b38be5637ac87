"""A base model in 4 bits: NF4 with doubly quantised scales, for an adapter to be tuned on.

As in Dettmers et al., QLoRA: Efficient Finetuning of Quantized LLMs (2023), by way of
bitsandbytes, which is imported only here and only when asked for: it takes a second.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from tuner.errors import ModelError
from tuner.light_peft import show_bitsandbytes

_BLOCK = 64
"""Weights that share a scale."""
_LARGEST_ERROR = 0.15
"""Mean distance of weights from the normal distribution, in its spread; NF4 has half of it."""


def quantisation(precision: str) -> BitsAndBytesConfig:
    """What transformers is told to do with each linear layer while it loads it."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, precision),
    )


@cache
def check_device(device: torch.device) -> None:
    """ModelError if four bits and back do not give about the same weights on this machine."""
    try:
        error = _round_trip_error(device)
    except (ImportError, OSError, RuntimeError, NotImplementedError) as reason:
        first_line = str(reason).strip().split("\n")[0].rstrip(".")
        raise ModelError(
            f"QLoRA cannot run on this machine ({first_line}). Choose the method lora."
        ) from None
    if not error < _LARGEST_ERROR:
        raise ModelError(
            f"QLoRA computes wrongly on this machine (off by {error:.0%}). Choose the method lora."
        )
    show_bitsandbytes()


def keep_unpacked(model: Any) -> Any:
    """On processors with bfloat16 a layer would repack its weight for a kernel at each answer.

    The tuning that goes on after an answer could not read that weight any more. Rows that are no
    whole number of blocks are unpacked wrongly on a processor, so that such a model is refused.
    """
    for module in model.modules():
        if not hasattr(module, "support_avx512bf16_for_cpu"):
            continue
        module.support_avx512bf16_for_cpu = False
        if module.weight.device.type == "cpu" and module.in_features % _BLOCK:
            raise ModelError(
                f"QLoRA on a processor needs layers whose width is a multiple of {_BLOCK}; this "
                f"base model has one of {module.in_features}. Choose the method lora."
            )
    return model


def _round_trip_error(device: torch.device) -> float:
    # It reports through its log that an optional kernel is not there, at each import.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from bitsandbytes import functional

    weights = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)).to(device)
    packed, state = functional.quantize_4bit(weights, quant_type="nf4", compress_statistics=True)
    unpacked: Any = functional.dequantize_4bit(packed, state)
    return float((unpacked - weights).abs().mean() / weights.std())
