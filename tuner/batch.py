"""Lay the examples of one step out as tensors: packed into one row, or padded to the longest.

Packed: what all examples begin with (often a system prompt) is computed once, then each example's
rest follows; a mask keeps them from seeing each other. The results are those of the padded layout,
without its waste. Knows token ids, not texts, and nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from tuner.encode import Encoded

PACKED_TOKENS_LIMIT = 4096
"""The mask of a packed row grows with the square of its length."""


@dataclass(frozen=True)
class Batch:
    """Input of a forward pass, and which of its outputs are to say what."""

    ids: Tensor  # (rows, length)
    positions: Tensor  # (rows, length)
    mask: Tensor  # padded: (rows, length); packed: (1, 1, length, length), True where seen
    columns: Tensor  # (columns,) the positions at which logits are needed
    picked: Tensor  # (answers,) which of rows x columns predict an answer token
    targets: Tensor  # (answers,) the answer tokens
    real_tokens: int

    def to(self, device: torch.device) -> Batch:
        if device.type == "cpu":
            return self
        return Batch(
            ids=self.ids.to(device),
            positions=self.positions.to(device),
            mask=self.mask.to(device),
            columns=self.columns.to(device),
            picked=self.picked.to(device),
            targets=self.targets.to(device),
            real_tokens=self.real_tokens,
        )


def make_batch(examples: Sequence[Encoded], *, pad_id: int, packing: bool) -> Batch:
    if packing and sum(map(len, examples)) <= PACKED_TOKENS_LIMIT:
        return packed_batch(examples)
    return padded_batch(examples, pad_id)


def padded_batch(examples: Sequence[Encoded], pad_id: int) -> Batch:
    """One row per example, padded on the right to the longest."""
    length = max(map(len, examples))
    ids = torch.full((len(examples), length), pad_id)
    mask = torch.zeros((len(examples), length), dtype=torch.long)
    targets = torch.full((len(examples), length), -100)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = torch.tensor(example.ids)
        mask[row, : len(example)] = 1
        for index, token in _answers(example):
            targets[row, index - 1] = token  # a token is predicted where the one before it stands
    columns = (targets != -100).any(dim=0).nonzero().flatten()
    chosen = targets[:, columns].flatten()
    picked = (chosen != -100).nonzero().flatten()
    positions = torch.arange(length).expand(len(examples), length)
    real_tokens = sum(map(len, examples))
    return Batch(ids, positions, mask, columns, picked, chosen[picked], real_tokens)


def packed_batch(examples: Sequence[Encoded]) -> Batch:
    """One row: the shared beginning once, then the rest of each example."""
    shared = shared_length(examples)
    ids, positions, owners = list(examples[0].ids[:shared]), list(range(shared)), [-1] * shared
    columns: list[int] = []
    targets: list[int] = []
    for owner, example in enumerate(examples):
        offset = len(ids) - shared
        ids += example.ids[shared:]
        positions += range(shared, len(example))
        owners += [owner] * (len(example) - shared)
        for index, token in _answers(example):
            columns.append(offset + index - 1)
            targets.append(token)
    return Batch(
        ids=torch.tensor([ids]),
        positions=torch.tensor([positions]),
        mask=_packed_mask(torch.tensor(owners)),
        columns=torch.tensor(columns),
        picked=torch.arange(len(columns)),
        targets=torch.tensor(targets),
        real_tokens=sum(map(len, examples)),
    )


def shared_length(examples: Sequence[Encoded]) -> int:
    """How many first tokens all examples share, short of those that predict an answer."""
    first_answers = (example.trained.index(True) - 1 for example in examples)
    columns = zip(*(example.ids for example in examples), strict=False)
    same = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(same, *first_answers, *(len(example) - 1 for example in examples))


def _packed_mask(owners: Tensor) -> Tensor:
    same_owner = owners[:, None] == owners[None, :]
    shared = owners[None, :] == -1
    causal = torch.ones(len(owners), len(owners), dtype=torch.bool).tril()
    return ((same_owner | shared) & causal)[None, None]


def _answers(example: Encoded) -> list[tuple[int, int]]:
    """(index, token) of every token to be learned; the first token follows nothing."""
    return [
        (index, token)
        for index, (token, trained) in enumerate(zip(example.ids, example.trained, strict=True))
        if trained and index > 0
    ]
