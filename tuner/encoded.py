"""The examples of one run as token ids, in time for the step that needs them.

A run with very many examples takes its first step as soon as one with few. What becomes of
examples longer than the limit is settled before the run starts, so that the number of steps is
known; short texts need no tokenising to be known as short. An order of turns that the template
refuses is found then too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tuner.encode import ChatEncoder, Encoded
from tuner.encode_many import many_encoder
from tuner.errors import ExampleError
from tuner.examples import Example
from tuner.look_ahead import LookAhead
from tuner.token_cache import Row, TokenCache

_TEMPLATE_TOKENS = 512
_TURN_TOKENS = 16
"""More than any chat template adds around a conversation, and around each of its turns."""


class EncodedExamples:
    """A sequence of encoded examples, all within the limit."""

    def __init__(
        self,
        encoder: ChatEncoder,
        examples: Sequence[Example],
        limit: int,
        moved: Callable[[], None],
        *,
        trained_on: str = "answers",
        over_length: str = "drop",
        token_cache: Path | None = None,
    ) -> None:
        """`over_length` says what becomes of longer ones: "drop", "truncate" or "refuse".

        `moved` is called now and then while many examples are measured, and what it raises is let
        through. With `token_cache`, a folder, what was encoded once is found there again.
        """
        encoder.check_for_tuning()
        self._examples = list(examples)  # held, so that the same object is known as the same
        self._limit = limit
        self._over_length = over_length
        cache = TokenCache(token_cache, encoder.cache_key(trained_on)) if token_cache else None
        self._rows = LookAhead(many_encoder(encoder, trained_on), self._examples, cache)
        self._check_roles(moved)
        self._long = self._find_long(moved)
        self._kept = self._keep()
        self.expect(range(len(self._kept)))

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Encoded:
        place = self._kept[index]
        row = self._rows.row(place)
        end = self._limit if place in self._long else len(row)
        if end > self._limit:  # the bytes promised that it would fit
            raise self._too_long(place, row)
        return Encoded(*row.unpack(end))

    def expect(self, indices: Iterable[int]) -> None:
        """Say in which order they will be asked for, if not in their own."""
        self._rows.expect(self._kept[index] for index in indices)

    def origin(self, index: int) -> tuple[int, Example]:
        """Where an example stands among all that were given, and the example itself."""
        place = self._kept[index]
        return place, self._examples[place]

    def check_not_empty(self) -> None:
        """ExampleError if nothing is left to learn from."""
        if self._kept:
            return
        if not self._examples:
            raise ExampleError("There are no examples.", "Add some.")
        if self._over_length == "truncate":
            raise ExampleError(
                f"Cut to {self._limit} tokens, none of the {len(self._examples)} examples has a "
                "token left that would be learned.",
                "Shorten the prompts or raise the limit.",
            )
        raise ExampleError(
            f"None of the {len(self._examples)} examples has at most {self._limit} tokens.",
            "Add shorter examples, raise the limit, or have longer ones truncated.",
        )

    @property
    def dropped(self) -> int:
        """Left out as too long, or because nothing to learn was left when they were cut."""
        return len(self._examples) - len(self._kept)

    @property
    def truncated(self) -> int:
        """Cut to the limit."""
        return sum(1 for place in self._kept if place in self._long)

    def close(self) -> None:
        """Stop encoding ahead, and keep what was encoded for the next run."""
        self._rows.close()

    def _check_roles(self, moved: Callable[[], None]) -> None:
        # Templates refuse by who speaks when, so one example of each order speaks for all of it.
        orders: dict[tuple[str, ...], int] = {}
        for place, example in enumerate(self._examples):
            orders.setdefault(tuple([turn.role for turn in example.messages]), place)
        self._rows.encode(list(orders.values()), moved)
        for place in orders.values():
            self._rows.row(place)

    def _find_long(self, moved: Callable[[], None]) -> frozenset[int]:
        """The places of examples over the limit."""
        unsure = [
            place for place, example in enumerate(self._examples) if not self._is_short(example)
        ]
        self._rows.encode(unsure, moved)
        return frozenset(place for place in unsure if len(self._rows.row(place)) > self._limit)

    def _is_short(self, example: Example) -> bool:
        # No tokenizer makes more tokens than there are bytes, so most need no encoding here.
        turns = example.messages
        text_bytes = sum([_byte_count(turn.content) for turn in turns])
        return text_bytes + _TEMPLATE_TOKENS + _TURN_TOKENS * len(turns) <= self._limit

    def _keep(self) -> list[int]:
        places = range(len(self._examples))
        if not self._long:
            return list(places)
        if self._over_length == "refuse":
            first = min(self._long)
            raise self._too_long(first, self._rows.row(first))
        return [place for place in places if place not in self._long or self._can_cut(place)]

    def _can_cut(self, place: int) -> bool:
        """Whether it is to be cut, and something to be learned stands within the limit."""
        if self._over_length != "truncate":
            return False
        # The first token follows nothing, so it is never learned.
        return any(self._rows.row(place).trained[1 : self._limit].tolist())

    def _too_long(self, place: int, row: Row) -> ExampleError:
        return ExampleError(
            f"Example {place + 1} has {len(row)} tokens; the limit is {self._limit}.",
            "Shorten it, raise the limit, or have longer examples dropped or truncated.",
        )


def _byte_count(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
