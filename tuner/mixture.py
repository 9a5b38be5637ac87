"""Several datasets as one: each with its weight, and a share of replayed general conversations.

A mixture is a list of places in its sources, so nothing is copied, and an example that comes twice
is the same object twice. Splitting for validation happens before. Knows no tokens and no files.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from tuner.errors import SettingsError

Item = TypeVar("Item")
"""An Example; or whatever stands for one, where only counts are wanted."""

LARGEST_WEIGHT = 100.0
LARGEST_REPLAY_SHARE = 0.9


@dataclass(frozen=True)
class Source(Generic[Item]):
    """A dataset in a mixture: with weight 2 each example comes twice an epoch, with 0.5 half do."""

    examples: Sequence[Item]
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight <= LARGEST_WEIGHT:  # not a number fails the comparison too
            raise SettingsError(
                f"A dataset's weight must be above 0 and at most {LARGEST_WEIGHT:g}, "
                f"not {self.weight!r}."
            )


class Mixture(Sequence[Item]):
    """The examples of one epoch, source after source, then those replayed."""

    def __init__(self, groups: Sequence[Sequence[Item]], places: Sequence[tuple[int, int]]):
        self._groups = groups
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> Mixture[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | Mixture[Item]:
        if isinstance(index, slice):
            return Mixture(self._groups, self._places[index])
        group, place = self._places[index]
        return self._groups[group][place]

    def __iter__(self) -> Iterator[Item]:
        return (self._groups[group][place] for group, place in self._places)

    def origin(self, index: int) -> tuple[int, int]:
        """(source, place in it) of an example; what is replayed comes after the last source."""
        return self._places[index]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many examples come from each source, and last how many are replayed."""
        counts = [0] * len(self._groups)
        for group, _ in self._places:
            counts[group] += 1
        return tuple(counts)


def mix(
    sources: Sequence[Source[Item]],
    *,
    replay: Sequence[Item] = (),
    replay_share: float = 0.0,
    seed: int,
) -> Mixture[Item]:
    """One epoch of all sources by weight, with `replay_share` of the whole taken from `replay`.

    The same seed chooses the same examples. Replayed ones come more than once only where there
    are too few of them.
    """
    if not 0 <= replay_share <= LARGEST_REPLAY_SHARE:
        raise SettingsError(
            f"Replay share must be a number from 0 to {LARGEST_REPLAY_SHARE:g}, "
            f"not {replay_share!r}."
        )
    if replay_share > 0 and not replay:
        raise SettingsError(
            "A replay share needs conversations to replay. Add some, or set the share to 0."
        )
    places = [
        (group, place)
        for group, source in enumerate(sources)
        for place in _drawn(len(source.examples), source.weight, f"source {seed} {group}")
    ]
    replayed = round(len(places) * replay_share / (1 - replay_share))
    weight = replayed / len(replay) if replay else 0.0
    places += [
        (len(sources), place) for place in _drawn(len(replay), weight, f"replay {seed}", replayed)
    ]
    return Mixture([*(source.examples for source in sources), replay], places)


def _drawn(available: int, weight: float, seed: str, count: int | None = None) -> list[int]:
    """Places in rising order: each as often as the weight is whole, and a drawn part once more."""
    count = max(1, round(available * weight)) if count is None and available else count or 0
    whole = math.floor(count / available) if available else 0
    rest = random.Random(seed).sample(range(available), count - whole * available)
    return sorted([*range(available)] * whole + rest)
