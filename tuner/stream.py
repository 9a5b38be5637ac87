"""One answer on its way from the token loop to whoever reads it.

The loop puts pieces in, a reader takes them out, each in its own thread. A reader that does not
take holds its own answer up after a few pieces, and nobody else's. Knows no model.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal

FinishReason = Literal["stop", "length", "cancelled"]

BUFFER_PIECES = 32


class Stream:
    """The pieces of one answer: iterate over it, or take what there is; cancel it at any time."""

    def __init__(self, prompt_tokens: int, wake_loop: Callable[[], None]) -> None:
        self.prompt_tokens = prompt_tokens
        self.answer_tokens = 0
        self.finish_reason: FinishReason | None = None
        self.error: Exception | None = None
        self._pieces: deque[str] = deque()
        self._condition = threading.Condition()
        self._wake_loop = wake_loop
        self._listener: Callable[[], None] | None = None
        self._full_since: float | None = None

    # ---- the reader's side ---------------------------------------------------------------------

    def __iter__(self) -> Iterator[str]:
        """Each piece as it comes; raises what broke the answer off, if something did."""
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._pieces or self.is_finished)
                piece = self._pieces.popleft() if self._pieces else None
                self._full_since = None
            self._wake_loop()
            if piece is None:
                break
            yield piece
        if self.error:
            raise self.error

    def take(self) -> str:
        """All text that has come since the last call, at once and without waiting."""
        with self._condition:
            text = "".join(self._pieces)
            self._pieces.clear()
            self._full_since = None
        self._wake_loop()
        return text

    def cancel(self) -> None:
        """End the answer here; the loop drops it before its next step."""
        self.finish("cancelled")
        self._wake_loop()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener`, from the loop's thread, whenever something changes; once at once."""
        with self._condition:
            self._listener = listener
        listener()

    @property
    def is_finished(self) -> bool:
        return self.finish_reason is not None or self.error is not None

    # ---- the loop's side -----------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        return len(self._pieces) < BUFFER_PIECES

    def stalled_seconds(self) -> float:
        """For how long the reader has taken nothing from a full buffer."""
        full_since = self._full_since
        return 0.0 if full_since is None else time.monotonic() - full_since

    def put(self, piece: str) -> None:
        with self._condition:
            if self.is_finished:
                return
            self._pieces.append(piece)
            if not self.has_room:
                self._full_since = time.monotonic()
            self._tell()

    def finish(self, reason: FinishReason) -> None:
        """The first end counts; later ones change nothing."""
        with self._condition:
            if not self.is_finished:
                self.finish_reason = reason
                self._tell()

    def fail(self, error: Exception) -> None:
        with self._condition:
            if not self.is_finished:
                self.error = error
                self._tell()

    def _tell(self) -> None:
        self._condition.notify_all()
        if self._listener:
            self._listener()
