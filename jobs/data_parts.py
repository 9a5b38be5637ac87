"""What a job trains on: its datasets and their weights, the replay dataset, what is held out.

Knows versions of datasets and how they are put together; not forms and not the engine's steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from datasets.models import DatasetVersion
from jobs.models import Job
from tuner.examples import Example, split_examples
from tuner.mixture import Source, mix
from tuner.settings import TuningSettings

Anything = TypeVar("Anything")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dataset of a job."""

    version: DatasetVersion
    weight: float = 1.0
    is_replay: bool = False


def parts_of(job: Job) -> list[Part]:
    """The job's datasets, the first one first."""
    more = job.more_datasets.select_related("version__dataset")
    return [
        Part(version=job.dataset_version, weight=job.dataset_weight),
        *(Part(version=it.version, weight=it.weight, is_replay=it.is_replay) for it in more),
    ]


def examples_of(job: Job) -> tuple[Sequence[Example], list[Example]]:
    """What is trained on and what is held out, read from the files."""
    validation = job.validation_version.examples() if job.validation_version else None
    loaded = [(part, part.version.examples()) for part in parts_of(job)]
    return composed(loaded, job.tuning_settings, validation)


def composed(
    loaded: Iterable[tuple[Part, Sequence[Anything]]],
    settings: TuningSettings,
    validation: Sequence[Anything] | None = None,
) -> tuple[Sequence[Anything], list[Anything]]:
    """Hold a share of each dataset out, then mix the rest by weight with the replay share.

    Held out first, so that no example is both trained on and measured by. Nothing of the replay
    dataset is held out: it is there to keep what is known, not to be learned.
    """
    sources: list[Source[Anything]] = []
    replay: Sequence[Anything] = ()
    held_out: list[Anything] = []
    for part, examples in loaded:
        if part.is_replay:
            replay = examples
            continue
        share = 0.0 if validation is not None else settings.validation_share
        training, kept_back = split_examples(list(examples), share, settings.seed)
        sources.append(Source(training, part.weight))
        held_out += kept_back
    replay_share = settings.replay_share if replay else 0.0
    mixture = mix(sources, replay=replay, replay_share=replay_share, seed=settings.seed)
    return mixture, list(validation) if validation is not None else held_out


def counts(
    parts: Sequence[Part], settings: TuningSettings, validation: DatasetVersion | None = None
) -> tuple[int, int]:
    """How many examples an epoch has and how many are held out, by the very same rules."""
    # Numbers stand for the examples: only how many there are matters here.
    loaded = [(part, range(part.version.example_count)) for part in parts]
    held_out = range(validation.example_count) if validation else None
    training, kept_back = composed(loaded, settings, held_out)
    return len(training), len(kept_back)
