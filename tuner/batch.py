"""Lay examples out as tensors: packed without padding, or padded to the longest.

Packed: what all examples begin with (often a system prompt) stands once, then each example's rest
follows; tiles say which rows may see which. The results are those of the padded layout, without its
waste. Knows token ids, not texts, and nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuner.encode import Encoded
from tuner.fast.attention import Tile
from tuner.workload import micro_batches, shared_prefix

Layout = TypeVar("Layout", "Batch", "Pack")

TILE_ROWS = {"cpu": 128, "cuda": 1024}
"""Rows of one tile: enough for full speed of the matrix products, few enough to waste little. A
GPU wants more at once, since each call costs it a launch."""


@dataclass(frozen=True)
class Batch:
    """Padded: one row of tokens per example."""

    ids: Tensor  # (rows, length)
    positions: Tensor  # (rows, length)
    mask: Tensor  # (rows, length), 1 where a token is real
    columns: Tensor  # (columns,) the positions at which logits are needed
    picked: Tensor  # (answers,) which of rows x columns predict an answer token
    targets: Tensor  # (answers,) the answer tokens
    owners: Tensor  # (answers,) the example of each

    def to(self, device: torch.device) -> Batch:
        return self if device.type == "cpu" else _moved(self, device)


@dataclass(frozen=True)
class Pack:
    """Packed: one long row of tokens."""

    ids: Tensor  # (length,)
    positions: Tensor  # (length,)
    predicting: Tensor  # (answers,) the rows at which logits are needed
    targets: Tensor  # (answers,) the answer tokens
    owners: Tensor  # (answers,) the example of each
    shared: int
    """So many first rows are seen by all."""
    lengths: tuple[int, ...]
    """Rows of each example after the shared ones."""

    def to(self, device: torch.device) -> Pack:
        return self if device.type == "cpu" else _moved(self, device)

    def tiles(self, dtype: torch.dtype) -> list[Tile]:
        """What each row may see, for scores of this type."""
        rows = Rows(dtype, self.ids.device)
        own = _long_tiles(0, self.shared, 0, rows)
        return [*own, *_example_tiles(self.lengths, self.shared, rows)]


@dataclass(frozen=True)
class Rows:
    """Makes the masks of tiles, of one type on one device."""

    dtype: torch.dtype
    device: torch.device

    @property
    def at_once(self) -> int:
        """Most rows of one tile."""
        return TILE_ROWS.get(self.device.type, TILE_ROWS["cuda"])

    def causal(self, count: int) -> Tensor:
        """Each row sees itself and those before it."""
        hidden = torch.ones(count, count, dtype=torch.bool, device=self.device).triu(1)
        return self._additive(hidden)

    def causal_each(self, lengths: Sequence[int]) -> Tensor:
        """The same within each of several examples, which do not see each other."""
        owners = torch.repeat_interleave(torch.tensor(lengths)).to(self.device)
        hidden = owners[:, None] != owners[None, :]
        return self._additive(hidden | torch.ones_like(hidden).triu(1))

    def _additive(self, hidden: Tensor) -> Tensor:
        zeros = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device)
        return zeros.masked_fill_(hidden, float("-inf"))


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
    owners = picked // len(columns)
    return Batch(ids, positions, mask, columns, picked, chosen[picked], owners)


def packed_batch(examples: Sequence[Encoded]) -> Pack:
    """One row: the shared beginning once, then the rest of each example."""
    shared = shared_length(examples)
    tokens = [numpy.array(example.ids, dtype=numpy.int64) for example in examples]
    trained = [numpy.array(example.trained, dtype=numpy.bool_) for example in examples]
    lengths = [len(ids) - shared for ids in tokens]
    # Where an example's own rows begin, less the shared ones: its place n stands at offset + n.
    offsets = [sum(lengths[:place]) for place in range(len(lengths))]
    answers = [numpy.flatnonzero(flags[1:]) + 1 for flags in trained]  # a first follows nothing
    return Pack(
        ids=_joined([tokens[0][:shared], *(ids[shared:] for ids in tokens)]),
        positions=_joined(
            [numpy.arange(shared), *(numpy.arange(shared, len(ids)) for ids in tokens)]
        ),
        predicting=_joined([at + offset - 1 for at, offset in zip(answers, offsets, strict=True)]),
        targets=_joined([ids[at] for ids, at in zip(tokens, answers, strict=True)]),
        owners=_joined([numpy.full(len(at), owner) for owner, at in enumerate(answers)]),
        shared=shared,
        lengths=tuple(lengths),
    )


def shared_length(examples: Sequence[Encoded]) -> int:
    """How many first tokens all examples share, short of those that predict an answer."""
    if len(examples) == 1:
        return 0
    same = shared_prefix([example.ids for example in examples])
    before_answers = min(example.trained.index(True) - 1 for example in examples)
    return max(0, min(same, before_answers, *(len(example) - 1 for example in examples)))


def _joined(parts: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(numpy.concatenate(parts))


def _example_tiles(lengths: Sequence[int], shared: int, rows: Rows) -> Iterator[Tile]:
    start = shared
    for group in micro_batches(lengths, rows.at_once):
        sizes = [lengths[place] for place in group]
        if len(group) == 1:
            yield from _long_tiles(start, sizes[0], shared, rows)
        else:
            place = slice(start, start + sum(sizes))
            yield Tile(place, shared, place, rows.causal_each(sizes))
        start += sum(sizes)


def _long_tiles(start: int, length: int, shared: int, rows: Rows) -> Iterator[Tile]:
    """One example in portions of rows; each sees the example up to its own end."""
    for first in range(start, start + length, rows.at_once):
        end = min(first + rows.at_once, start + length)
        yield Tile(slice(first, end), shared, slice(start, end), rows.causal(end - first))


def _moved(layout: Layout, device: torch.device) -> Layout:
    tensors = {name: value for name, value in vars(layout).items() if isinstance(value, Tensor)}
    moved: dict[str, Any] = {name: value.to(device) for name, value in tensors.items()}
    return replace(layout, **moved)


def _answers(example: Encoded) -> list[tuple[int, int]]:
    """(index, token) of every token to be learned; the first token follows nothing."""
    return [
        (index, token)
        for index, (token, trained) in enumerate(zip(example.ids, example.trained, strict=True))
        if trained and index > 0
    ]
