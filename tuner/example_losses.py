"""How well each example was learned, from the steps it was trained in: no pass of its own.

What stays is the loss at the last time each example was trained on. Knows losses, not
what examples say.
"""

from __future__ import annotations

from collections.abc import Sequence

from tuner.encoded import EncodedExamples
from tuner.examples import Example
from tuner.progress import Progress

REPORTED = 100


def remember(
    progress: Progress, indices: Sequence[int], losses: Sequence[float], examples: int
) -> None:
    """Take the losses of a step's examples; short numbers, since every checkpoint holds them."""
    if len(progress.example_losses) != examples:
        progress.example_losses = [None] * examples
    for index, loss in zip(indices, losses, strict=True):
        progress.example_losses[index] = float(f"{loss:.6g}")


def worst(progress: Progress, examples: EncodedExamples) -> tuple[tuple[int, float], ...]:
    """(place, loss) of the examples learned worst; one that occurs several times comes once."""
    known = [
        (loss, index) for index, loss in enumerate(progress.example_losses) if loss is not None
    ]
    chosen: dict[Example, tuple[int, float]] = {}
    for loss, index in sorted(known, key=lambda pair: (-pair[0], pair[1])):
        place, example = examples.origin(index)
        chosen.setdefault(example, (place, loss))
        if len(chosen) == REPORTED:
            break
    return tuple(chosen.values())
