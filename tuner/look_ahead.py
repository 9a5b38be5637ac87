"""Rows of tokens for a list of examples, encoded shortly before they are asked for.

The first example asked for waits for itself and a few others; from then on a thread encodes those
that come next while the training works on the last ones. An example that stands in several places
is encoded once. Knows no limits of length and no settings.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from tuner.encode import Encoded
from tuner.encode_many import ManyEncoder
from tuner.errors import ExampleError
from tuner.examples import Example
from tuner.token_cache import Row, TokenCache, digest

_FIRST_CHUNK = 32
_LARGEST_CHUNK = 1024
_ENCODED_BETWEEN_SIGNS = 256


class LookAhead:
    """Rows by the place of their example, each made once."""

    def __init__(
        self, many: ManyEncoder, examples: Sequence[Example], cache: TokenCache | None = None
    ) -> None:
        self._many = many
        self._examples = examples
        self._cache = cache
        self._rows: dict[int, Row | ExampleError] = {}
        self._same = _first_places(examples)
        self._distinct = len(set(self._same))
        self._was_saved = False
        self._coming: Iterator[int] = iter(())
        self._newest: frozenset[int] = frozenset()
        self._chunk = _FIRST_CHUNK
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def expect(self, places: Iterable[int]) -> None:
        """Say in which order rows will be asked for; the thread goes ahead in this order."""
        self._coming = iter(places)

    def row(self, place: int) -> Row:
        """The tokens of the example at a place, or the ExampleError that says why not."""
        place = self._same[place]
        if place not in self._rows:
            self._finish()
        if place not in self._rows:
            self._encode([place, *self._next(self._chunk)])
            self._newest = frozenset([place])
        if place in self._newest:
            self._go_ahead()
        row = self._rows[place]
        if isinstance(row, ExampleError):
            raise ExampleError(f"Example {place + 1}: {row.reason}", row.remedy)
        return row

    def encode(self, places: Sequence[int], moved: Callable[[], None]) -> None:
        """Make these rows now, with a sign of life every so many."""
        missing = [place for place in places if self._same[place] not in self._rows]
        for start in range(0, len(missing), _ENCODED_BETWEEN_SIGNS):
            self._encode(missing[start : start + _ENCODED_BETWEEN_SIGNS])
            moved()

    def close(self) -> None:
        """Stop going ahead, and keep what was made for the next run."""
        self._coming = iter(())
        self._finish()
        self._save()

    def _save(self) -> None:
        self._was_saved = True
        if self._cache is not None:
            self._cache.save()

    def _go_ahead(self) -> None:
        if self._thread and self._thread.is_alive():
            return  # it is not far behind; a later row of the same chunk asks again
        self._finish()
        self._chunk = min(2 * self._chunk, _LARGEST_CHUNK)
        places = self._next(self._chunk)
        self._newest = frozenset(places)
        if places or not self._was_saved:
            self._thread = threading.Thread(target=self._work, args=[places], daemon=True)
            self._thread.start()

    def _work(self, places: Sequence[int]) -> None:
        try:
            self._encode(places)
            if not places and not self._was_saved:
                self._save()  # all that is expected: it need not wait for the end of the run
        except BaseException as error:  # raised where somebody can see it
            self._failure = error

    def _finish(self) -> None:
        if self._thread:
            self._thread.join()
            self._thread = None
        if self._failure:
            failure, self._failure = self._failure, None
            raise failure

    def _next(self, count: int) -> list[int]:
        """The next places that come and have no row yet, each once."""
        if len(self._rows) >= self._distinct:
            self._coming = iter(())  # the epochs still to come ask for nothing new
        coming = (self._same[place] for place in self._coming)
        fresh = (place for place in coming if place not in self._rows)
        return list(dict.fromkeys(islice(fresh, count)))

    def _encode(self, places: Sequence[int]) -> None:
        fresh = [self._same[place] for place in places]
        fresh = [place for place in dict.fromkeys(fresh) if not self._found(place)]
        outcomes = self._many.encode([self._examples[place] for place in fresh])
        for place, outcome in zip(fresh, outcomes, strict=True):
            if isinstance(outcome, Encoded):
                row = Row.pack(outcome.ids, outcome.trained)
                self._rows[place] = row
                if self._cache is not None:
                    self._cache.add(digest(self._examples[place]), row)
            else:
                self._rows[place] = outcome

    def _found(self, place: int) -> bool:
        """Whether the row is there, perhaps since another run made it."""
        if place in self._rows:
            return True
        row = self._cache.get(digest(self._examples[place])) if self._cache is not None else None
        if row is not None:
            self._rows[place] = row
        return row is not None


def _first_places(examples: Sequence[Example]) -> list[int]:
    """For each place the first one at which the same object stands."""
    first: dict[int, int] = {}
    return [first.setdefault(id(example), place) for place, example in enumerate(examples)]
