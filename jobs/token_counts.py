"""Token counts of a dataset's first examples as one base model reads them, kept for the next look.

They stand for the whole dataset where it is larger than the sample. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from datasets.browse import first_examples
from datasets.models import DatasetVersion
from library.models import BaseModel
from tuner.convert import ModelFacts, read_facts
from tuner.encode import ChatEncoder, Encoded
from tuner.encode_many import many_encoder
from tuner.workload import shared_prefix

SAMPLE = 400
"""Examples whose length is measured; the rest are taken to be like them."""


@dataclass(frozen=True, kw_only=True)
class TokenCounts:
    """What is known of some examples."""

    lengths: tuple[int, ...]
    """Of those the template accepts; never empty."""
    answers: int
    """Tokens to be learned, of all of them together."""
    longest_answer: int
    prefix: tuple[int, ...]
    """The tokens that all of them begin with."""

    def length_of(self, place: int) -> int:
        """Of any example of the dataset, by standing for it beyond the sample."""
        return self.lengths[place % len(self.lengths)]


@lru_cache(maxsize=64)
def token_counts(version_id: UUID, base_id: UUID, trained_on: str) -> TokenCounts | None:
    """None when the template accepts none of them. Versions never change, so neither does this."""
    examples = first_examples(DatasetVersion.objects.get(pk=version_id), SAMPLE)
    outcomes = many_encoder(encoder_of(base_id), trained_on).encode(examples)
    encoded = [outcome for outcome in outcomes if isinstance(outcome, Encoded)]
    if not encoded:
        return None
    answers = [sum(example.trained) for example in encoded]
    shared = shared_prefix([example.ids for example in encoded])
    return TokenCounts(
        lengths=tuple(len(example) for example in encoded),
        answers=sum(answers),
        longest_answer=max(answers),
        prefix=tuple(encoded[0].ids[:shared]),
    )


@lru_cache(maxsize=8)
def encoder_of(base_id: UUID) -> ChatEncoder:
    """A base model's folder never changes once it is ready."""
    return ChatEncoder.load(BaseModel.objects.get(pk=base_id).folder)


@lru_cache(maxsize=8)
def facts_of(base_id: UUID) -> ModelFacts:
    """Read from the headers of its files, which have more than was once written down."""
    return read_facts(BaseModel.objects.get(pk=base_id).folder)
