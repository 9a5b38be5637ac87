"""The data a command line names: files with weights, replayed conversations, what is held out."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuner.errors import SettingsError
from tuner.examples import Example, read_examples, split_examples
from tuner.mixture import Source, mix
from tuner.settings import TuningSettings


@dataclass(frozen=True)
class WeightedFile:
    """A file of examples, and how often each of them comes in an epoch."""

    path: Path
    weight: float = 1.0


def weighted_file(text: str) -> WeightedFile:
    """`FILE` or `FILE:WEIGHT`; a colon in the name of a file that is there belongs to the name."""
    path, separator, weight = text.rpartition(":")
    if not separator or Path(text).exists():
        return WeightedFile(Path(text))
    try:
        return WeightedFile(Path(path), float(weight))
    except ValueError:
        raise ArgumentTypeError(
            f"{weight!r} behind the colon of {text!r} is not a weight; "
            "write FILE or FILE:WEIGHT, such as chat.jsonl:0.5"
        ) from None


@dataclass(frozen=True)
class Data:
    """The examples of a job as they were read, each file once."""

    sources: Sequence[Source[Example]]
    validation: Sequence[Example] | None
    replay: Sequence[Example]

    @classmethod
    def read(
        cls, files: Sequence[WeightedFile], validation: Path | None, replay: Path | None
    ) -> Data:
        return cls(
            [Source(read_examples(file.path), file.weight) for file in files],
            read_examples(validation) if validation else None,
            read_examples(replay) if replay else (),
        )

    def divided(self, settings: TuningSettings) -> tuple[Sequence[Example], list[Example]]:
        """(training, validation): held out of each file first, then mixed by weight."""
        if self.replay and settings.replay_share == 0:
            raise SettingsError(
                "Conversations to replay need a replay share. Add --replay-share 0.1, or leave "
                "--replay out."
            )
        share = 0.0 if self.validation is not None else settings.validation_share
        held_out: list[Example] = list(self.validation or ())
        sources = []
        for source in self.sources:
            training, kept_back = split_examples(source.examples, share, settings.seed)
            sources.append(Source(training, source.weight))
            held_out += kept_back
        mixture = mix(
            sources, replay=self.replay, replay_share=settings.replay_share, seed=settings.seed
        )
        return mixture, held_out
