"""How the next token is chosen, and where an answer is cut: settings and text alone, no torch.

The ranges are checked here, where the settings are made, so that a page, an API and a command all
say the same sentence. The choosing itself is in generate.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuner.errors import SettingsError

LONGEST_STOP_LIST = 16
LARGEST_SEED = 2**63 - 1


class SamplingError(SettingsError):
    """A sampling parameter is out of range; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What makes one answer differ from another to the same prompt."""

    temperature: float = 1.0
    """0 always takes the likeliest token; 1 follows the model's own probabilities."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together have this probability."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    max_tokens: int | None = None
    """Longest answer; None is as long as the context allows."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    seed: int | None = None
    """The same seed, prompt and settings give the same answer."""

    def __post_init__(self) -> None:
        _require(0 <= self.temperature <= 2, "temperature", "must be between 0 and 2")
        _require(0 < self.top_p <= 1, "top_p", "must be above 0 and at most 1")
        _require(self.top_k >= 0, "top_k", "must be 0 (off) or more")
        _require(self.max_tokens is None or self.max_tokens >= 1, "max_tokens", "must be 1 or more")
        _require(
            self.seed is None or 0 <= self.seed <= LARGEST_SEED,
            "seed",
            f"must be between 0 and {LARGEST_SEED}",
        )
        _require(
            len(self.stop) <= LONGEST_STOP_LIST and all(self.stop),
            "stop",
            f"must be at most {LONGEST_STOP_LIST} texts, none of them empty",
        )


def _require(holds: bool, field: str, rule: str) -> None:
    if not holds:
        raise SamplingError(field, f"{field} {rule}.")


class StopScanner:
    """Passes text through until a stop text appears, even one that is split over pieces."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.has_stopped = False

    def feed(self, text: str) -> str:
        """What may be shown of the text so far; the beginning of a stop text is held back."""
        self._held += text
        ends = [index for stop in self._stops if (index := self._held.find(stop)) >= 0]
        if ends:
            self.has_stopped = True
            return self._release(min(ends))
        return self._release(len(self._held) - self._held_back())

    def flush(self) -> str:
        """What was held back, when the answer ended without the rest of the stop text."""
        return "" if self.has_stopped else self._release(len(self._held))

    def _held_back(self) -> int:
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            tail = self._held[-length:]
            if any(stop.startswith(tail) for stop in self._stops):
                return length
        return 0

    def _release(self, length: int) -> str:
        shown, self._held = self._held[:length], self._held[length:]
        return shown
