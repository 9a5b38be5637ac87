"""The supervised objective: make the model say the answers it is shown.

Knows how a batch's loss comes from a model, in portions that fit into memory; not how weights
change, nor when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from tuner.batch import packed_batch, padded_batch
from tuner.encode import Encoded
from tuner.fast.head import token_losses
from tuner.fast.model import FastDecoder
from tuner.workload import micro_batches


@dataclass(frozen=True)
class BatchLoss:
    """What one pass over some examples gave."""

    total: float
    """Summed over the answer tokens."""
    answers: int
    """Answer tokens."""
    correct: int
    """Answer tokens that the model would have said itself."""
    tokens: int
    """All tokens of the examples, without padding."""
    per_example: tuple[float, ...]
    """Mean loss over each example's answer tokens."""

    @property
    def mean(self) -> float:
        """Averaged over answer tokens, not answers: those of a short one must not weigh more."""
        return self.total / self.answers


class Examples(Protocol):
    """Encoded examples by their place."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Encoded: ...


class Supervised:
    """Cross-entropy over answer tokens of a sequence of examples."""

    def __init__(
        self,
        examples: Examples,
        *,
        pad_id: int,
        micro_batch_tokens: int,
        decoder: FastDecoder | None = None,
    ) -> None:
        """With a `decoder` examples are packed and take the fast path, else they are padded."""
        self._examples = examples
        self._pad_id = pad_id
        self._limit = micro_batch_tokens
        self._decoder = decoder

    def step(self, model: Any, indices: Sequence[int]) -> BatchLoss:
        """Add the gradient of the mean loss over these examples to the trained weights'."""
        examples = [self._examples[index] for index in indices]
        answers = sum(_answer_count(example) for example in examples)
        parts = []
        for part in self._portions(examples):
            losses, correct, owners = self._losses(model, part)
            torch.autograd.backward(losses.sum() / answers)
            parts.append(_summed(part, losses, correct, owners))
        return _joined(parts)

    @torch.no_grad()
    def evaluate(self, model: Any, moved: Callable[[], None]) -> BatchLoss:
        """The loss of all examples, in an order of this method's own.

        `moved` is called after every portion, and what it raises is let through.
        """
        order = sorted(range(len(self._examples)), key=lambda at: len(self._examples[at]))
        parts = []
        for part in self._portions([self._examples[index] for index in order]):
            parts.append(_summed(part, *self._losses(model, part)))
            moved()
        return _joined(parts)

    def _portions(self, examples: Sequence[Encoded]) -> Iterable[list[Encoded]]:
        lengths = [len(example) for example in examples]
        for places in micro_batches(lengths, self._limit):
            yield [examples[place] for place in places]

    def _losses(self, model: Any, examples: Sequence[Encoded]) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, whether it would have been said, its example) of each answer token."""
        if self._decoder is None:
            return self._padded_losses(model, examples)
        pack = packed_batch(examples).to(model.device)
        losses, correct = token_losses(self._decoder(pack), self._decoder.head_weight, pack.targets)
        return losses, correct, pack.owners

    def _padded_losses(
        self, model: Any, examples: Sequence[Encoded]
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch = padded_batch(examples, self._pad_id).to(model.device)
        # The head, a large part of a small model, is computed only where an answer is predicted.
        logits = model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            logits_to_keep=batch.columns,
            use_cache=False,
        ).logits
        logits = logits.flatten(0, 1)[batch.picked].float()
        losses = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        return losses, logits.argmax(dim=-1) == batch.targets, batch.owners


def _answer_count(example: Encoded) -> int:
    """Trained tokens, but for a first one, which follows nothing."""
    return sum(example.trained) - example.trained[0]


def _summed(
    examples: Sequence[Encoded], losses: Tensor, correct: Tensor, owners: Tensor
) -> BatchLoss:
    losses = losses.detach().float()
    sums = losses.new_zeros(len(examples)).index_add_(0, owners, losses)
    counts = [max(1, _answer_count(example)) for example in examples]
    return BatchLoss(
        total=losses.sum().item(),
        answers=len(losses),
        correct=int(correct.sum().item()),
        tokens=sum(map(len, examples)),
        per_example=tuple(
            total / count for total, count in zip(sums.tolist(), counts, strict=True)
        ),
    )


def _joined(parts: Sequence[BatchLoss]) -> BatchLoss:
    return BatchLoss(
        total=sum(part.total for part in parts),
        answers=sum(part.answers for part in parts),
        correct=sum(part.correct for part in parts),
        tokens=sum(part.tokens for part in parts),
        per_example=tuple(loss for part in parts for loss in part.per_example),
    )
