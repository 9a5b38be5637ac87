"""What the steps of a job compute at once, in tokens, from the lengths of its examples.

Torch-free arithmetic; knows how examples are laid out and divided, not what a token takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

from tuner.plan import epoch_batches
from tuner.settings import TuningSettings

PACKED, PADDED = "packed", "padded"
_BATCHES_LOOKED_AT = 2000
_EPOCHS_LOOKED_AT = 3
"""Each epoch makes other batches; the largest of many is looked for."""


@dataclass(frozen=True, kw_only=True)
class Portion:
    """Examples computed together: a whole step, or a part of one that is too large."""

    tokens: int
    """Computed: padding counts, and what packed examples share counts once."""
    answers: float
    is_whole_step: bool


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The steps of a job as they come."""

    lengths: Sequence[int]
    """Of the examples, or of a sample of them."""
    batches: Sequence[Sequence[int]]
    """Which examples are in a step, by their place in `lengths`."""
    layout: str
    shared_tokens: float = 0
    """What all examples begin with; packed examples compute it once."""
    answer_share: float = 1
    """Share of the tokens that are learned."""

    @classmethod
    def of(
        cls,
        lengths: Sequence[int],
        settings: TuningSettings,
        *,
        layout: str,
        shared_tokens: float = 0,
        answer_share: float = 1,
    ) -> Workload:
        batches = (
            batch
            for epoch in range(_EPOCHS_LOOKED_AT)
            for batch in epoch_batches(len(lengths), settings.batch_size, settings.seed, epoch)
        )
        return cls(
            lengths=lengths,
            batches=list(islice(batches, _BATCHES_LOOKED_AT)),
            layout=layout,
            shared_tokens=shared_tokens,
            answer_share=answer_share,
        )

    def largest_portion(self, limit: int) -> Portion:
        """The portion with most tokens when at most `limit` are computed together."""
        largest, is_whole_step, real = 0.0, True, 0
        for batch in self.batches:
            lengths = [self.lengths[place] for place in batch]
            portions = list(micro_batches(lengths, limit))
            for portion in portions:
                inside = [lengths[place] for place in portion]
                tokens = self._computed(inside)
                if tokens > largest:
                    largest, is_whole_step, real = tokens, len(portions) == 1, sum(inside)
        return Portion(
            tokens=round(largest), answers=real * self.answer_share, is_whole_step=is_whole_step
        )

    def _computed(self, lengths: Sequence[int]) -> float:
        if self.layout == PADDED:
            return len(lengths) * max(lengths)
        return sum(lengths) - (len(lengths) - 1) * self.shared_tokens


def micro_batches(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Places of neighbouring examples with at most `limit` tokens together; at least one each."""
    group: list[int] = []
    tokens = 0
    for place, length in enumerate(lengths):
        if group and tokens + length > limit:
            yield group
            group, tokens = [], 0
        group.append(place)
        tokens += length
    yield group


def shared_prefix(examples: Sequence[Sequence[int]]) -> int:
    """How many first tokens all examples have in common; a lone one shares nothing."""
    if len(examples) < 2:
        return 0
    columns = zip(*examples, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
