"""The examples of one run as token ids, encoded when first asked for and then kept.

A run with very many examples takes its first step as soon as one with few. What is longer than
the limit is left out before the run starts, so that the number of steps is known; short texts need
no tokenising to be known as short. An order of turns that the template refuses is found then too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuner.encode import ChatEncoder, Encoded
from tuner.errors import ExampleError
from tuner.examples import Example

_TEMPLATE_TOKENS = 512
_TURN_TOKENS = 16
"""More than any chat template adds around a conversation, and around each of its turns."""

_ENCODED_BETWEEN_SIGNS = 1000
"""`moved` is called once in so many examples: many take minutes to encode."""


class EncodedExamples:
    """A sequence of encoded examples, all within the limit; `dropped` were too long."""

    def __init__(
        self,
        encoder: ChatEncoder,
        examples: Sequence[Example],
        limit: int,
        moved: Callable[[], None],
    ) -> None:
        self._moved = moved
        self._encoder = encoder
        self._limit = limit
        self._cache: dict[int, Encoded] = {}
        self._accepted_roles: set[tuple[str, ...]] = set()
        self._examples = examples
        self._kept = [index for index in range(len(examples)) if self._fits(index)]

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Encoded:
        encoded = self._encode(self._kept[index])
        if len(encoded) > self._limit:
            raise ExampleError(
                f"Example {self._kept[index] + 1} has {len(encoded)} tokens; "
                f"the limit is {self._limit}.",
                "Shorten it or raise the limit.",
            )
        return encoded

    @property
    def dropped(self) -> int:
        return len(self._examples) - len(self._kept)

    def _fits(self, index: int) -> bool:
        self._check_roles(index)
        turns = self._examples[index].messages
        # No tokenizer makes more tokens than there are bytes, so most need no encoding here.
        text_bytes = sum(len(turn.content.encode()) for turn in turns)
        if text_bytes + _TEMPLATE_TOKENS + _TURN_TOKENS * len(turns) <= self._limit:
            return True
        return len(self._encode(index)) <= self._limit

    def _check_roles(self, index: int) -> None:
        # Templates refuse by who speaks when, so one example of each order speaks for all of it.
        roles = tuple(turn.role for turn in self._examples[index].messages)
        if roles not in self._accepted_roles:
            self._encode(index)
            self._accepted_roles.add(roles)

    def _encode(self, index: int) -> Encoded:
        if index not in self._cache:
            try:
                self._cache[index] = self._encoder.encode_example(self._examples[index])
            except ExampleError as error:
                reason = f"Example {index + 1}: {error.reason}"
                raise ExampleError(reason, error.remedy) from None
            if len(self._cache) % _ENCODED_BETWEEN_SIGNS == 0:
                self._moved()
        return self._cache[index]
