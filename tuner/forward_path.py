"""Which way the examples of a run go through its model, and how many at once.

The fast path where it is proven for the model's family and fits this very model, else the plain
padded one. Knows how passes are made, not what steps do with them.
"""

from __future__ import annotations

from typing import Any

import torch

from tuner.encoded import EncodedExamples
from tuner.families import layout
from tuner.fast.model import FastDecoder, causal_model, fits
from tuner.job import Job
from tuner.supervised import Supervised


class ForwardPath:
    """How one run computes losses."""

    def __init__(
        self,
        job: Job,
        model: Any,
        precision: str,
        *,
        is_checkpointed: bool,
        micro_batch_tokens: int,
    ) -> None:
        settings = job.settings
        self._pad_id = job.encoder.pad_id
        self.is_checkpointed = is_checkpointed
        self.micro_batch_tokens = micro_batch_tokens
        is_fast = layout(job.facts.family, settings) == "packed" and fits(model, job.limit_tokens)
        self.layout = "packed" if is_fast else "padded"
        self._decoder: FastDecoder | None = None
        if is_fast:
            dtype = getattr(torch, precision)
            self._decoder = FastDecoder(model, dtype, checkpointing=is_checkpointed)
            return
        causal = causal_model(model)
        if is_checkpointed:
            causal.gradient_checkpointing_enable({"use_reentrant": False})
        elif causal.is_activation_checkpointing:
            causal.gradient_checkpointing_disable()

    def objective(self, examples: EncodedExamples) -> Supervised:
        return Supervised(
            examples,
            pad_id=self._pad_id,
            micro_batch_tokens=self.micro_batch_tokens,
            decoder=self._decoder,
        )
