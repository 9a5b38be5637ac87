"""The supervised objective: make the model say the answers it is shown.

Knows how a batch's loss comes from a model's logits; not how weights change, nor when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tuner.batch import make_batch
from tuner.encoded import EncodedExamples

_EVALUATION_TOKENS = 1024


class Supervised:
    """Cross-entropy over answer tokens."""

    def __init__(self, examples: EncodedExamples, *, pad_id: int, packing: bool) -> None:
        self._examples = examples
        self._pad_id = pad_id
        self._packing = packing

    def loss(self, model: Any, indices: Sequence[int]) -> tuple[Tensor, int, int]:
        """(summed loss, answer tokens, tokens) of the examples with these indices."""
        examples = [self._examples[index] for index in indices]
        batch = make_batch(examples, pad_id=self._pad_id, packing=self._packing).to(model.device)
        mask = _additive(batch.mask, model.dtype) if batch.mask.dim() == 4 else batch.mask
        # The head, a large part of a small model, is computed only where an answer is predicted.
        logits = model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=mask,
            logits_to_keep=batch.columns,
            use_cache=False,
        ).logits
        logits = logits.flatten(0, 1)[batch.picked].float()
        total = cross_entropy(logits, batch.targets, reduction="sum")
        return total, len(batch.targets), batch.real_tokens

    @torch.no_grad()
    def mean_loss(self, model: Any, moved: Callable[[], None]) -> float:
        """Averaged over answer tokens, not answers: those of a short one must not weigh more.

        `moved` is called after every group of examples, and what it raises is let through.
        """
        total, count = 0.0, 0
        for group in self._evaluation_groups():
            group_loss, group_count, _ = self.loss(model, group)
            total += group_loss.item()
            count += group_count
            moved()
        return total / count

    def _evaluation_groups(self) -> list[list[int]]:
        """All examples, alike lengths together, as many at once as the token budget allows."""
        groups: list[list[int]] = [[]]
        tokens = 0
        for index in sorted(range(len(self._examples)), key=lambda at: len(self._examples[at])):
            tokens += len(self._examples[index])
            if groups[-1] and tokens > _EVALUATION_TOKENS:
                groups.append([])
                tokens = len(self._examples[index])
            groups[-1].append(index)
        return groups


def _additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(
        ~seen, torch.finfo(dtype).min
    )
