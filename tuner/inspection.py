"""One example exactly as a job would train on it: its tokens, their texts, and which are trained.

For people who look. Knows nothing of how it is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tuner.encode import ChatEncoder, Encoded, Piece
from tuner.examples import Example


@dataclass(frozen=True)
class Inspection:
    """What becomes of one example."""

    tokens: int
    trained: int
    limit: int | None
    """The most tokens an example may have, if the settings say."""
    length: int
    """Tokens of the whole example; more than `tokens` if it was cut."""
    fate: str
    """"used", "truncated", "dropped" or "refused"."""
    uses_plain_template: bool
    pieces: tuple[Piece, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "pieces": [piece._asdict() for piece in self.pieces]}


def inspect_example(
    encoder: ChatEncoder,
    example: Example,
    *,
    trained_on: str = "answers",
    limit: int | None = None,
    over_length: str = "drop",
) -> Inspection:
    """The tokens of an example under these settings; ExampleError if it has none to learn."""
    encoder.check_for_tuning()
    whole = encoder.encode_example(example, trained_on)
    is_long = limit is not None and len(whole) > limit
    shown, fate = whole, "used"
    if is_long and over_length == "truncate":
        shown = Encoded(whole.ids[:limit], whole.trained[:limit])
        fate = "truncated" if any(shown.trained[1:]) else "dropped"
    elif is_long:
        fate = "refused" if over_length == "refuse" else "dropped"
    return Inspection(
        tokens=len(shown),
        trained=sum(shown.trained),
        limit=limit,
        length=len(whole),
        fate=fate,
        uses_plain_template=encoder.uses_plain_template,
        pieces=tuple(encoder.pieces(shown)),
    )
