"""Attention in float32 inside a bfloat16 model, for processors.

There torch's attention kernel is about three times slower in bfloat16 than in float32, while the
matrix products around it are faster; so only the attention goes back and forth.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

FLOAT32_ATTENTION = "sdpa_in_float32"


def _attention_in_float32(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    output, _ = sdpa_attention_forward(
        module, query.float(), key.float(), value.float(), attention_mask, **options
    )
    return output.to(query.dtype), None


AttentionInterface.register(FLOAT32_ATTENTION, _attention_in_float32)
AttentionMaskInterface.register(FLOAT32_ATTENTION, sdpa_mask)
