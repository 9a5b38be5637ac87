"""The studio's own small datasets, so that nobody needs a file to begin.

Knows where they lie and what they teach; the examples themselves are the JSONL files beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from datasets.intake import create_dataset
from datasets.models import Dataset

if TYPE_CHECKING:
    from accounts.models import User

FOLDER = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class SampleSet:
    """A small dataset that comes with the studio."""

    slug: str
    title: str
    description: str

    @property
    def path(self) -> Path:
        """Its examples, text_input and output on each line."""
        return FOLDER / f"{self.slug}.jsonl"


SAMPLE_SETS = (
    SampleSet(
        "next-number",
        "Next number",
        "A number in digits or words, and the number after it. Small models get this wrong until "
        "they are tuned: the quickest way to see that tuning works.",
    ),
    SampleSet(
        "support-categories",
        "Support categories",
        "Customers' messages to an online shop, each with the one word that says who should "
        "answer: billing, delivery, returns, account, technical or sales.",
    ),
)


GENERAL_CHAT = SampleSet(
    "general-chat",
    "General chat",
    "Short everyday conversations, to be mixed into a tuning job so that the model keeps what it "
    "could do before. Not a task of its own.",
)


def get_sample_set(slug: str) -> SampleSet | None:
    """The sample set of that name, if there is one."""
    return next((sample for sample in (*SAMPLE_SETS, GENERAL_CHAT) if sample.slug == slug), None)


def add_sample(owner: User, slug: str) -> Dataset:
    """This person's dataset of the sample set: the one there is, else a new one.

    KeyError for a slug that names no sample set.
    """
    sample = get_sample_set(slug)
    if sample is None:
        raise KeyError(slug)
    existing = Dataset.objects.for_user(owner).filter(versions__report__sample=slug).first()
    if existing is not None:
        return existing
    name = free_name(owner, sample.title)
    return create_dataset(owner, name, sample.path, facts={"sample": slug})


def free_name(owner: User, wanted: str) -> str:
    """`wanted`, or with the first number that makes it new."""
    names = (wanted if number == 1 else f"{wanted} {number}" for number in count(1))
    taken = Dataset.objects.for_user(owner)
    return next(name for name in names if not taken.filter(name__iexact=name).exists())
