"""The report of a check: what is good, what is not and why, and how long everything is.

Filled row by row, so its memory does not grow with the file beyond a few bytes an example.
Kept as JSON on the version; the pages and the command line show the same one.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

from django.conf import settings

from datasets.lengths import summarise
from datasets.rows import BadRow
from tuner.examples import Example

BAD_LINES_KEPT = 1000
REASON_CHARACTERS = 300
REPEATS_NAMED = 20


class ReportBuilder:
    """Counts good and bad rows and answers the finished report."""

    def __init__(self) -> None:
        self.good = 0
        self.bad = 0
        self._bad_lines: list[dict[str, Any]] = []
        self._prompt_lengths = Counter[int]()
        self._answer_lengths = Counter[int]()
        self._seen: set[int] = set()
        self._repeats = 0
        self._repeat_lines: list[int] = []
        self._multi_turn = 0
        self._system = 0

    def add_good(self, line: int, example: Example, stored: bytes) -> None:
        """An example that was stored as these bytes."""
        self.good += 1
        self._prompt_lengths[len(example.prompt_text)] += 1
        self._answer_lengths[len(example.answer_text)] += 1
        self._system += example.messages[0].role == "system"
        self._multi_turn += sum(turn.role == "assistant" for turn in example.messages) > 1
        self._note_repeat(line, stored)

    def _note_repeat(self, line: int, stored: bytes) -> None:
        fingerprint = int.from_bytes(blake2b(stored, digest_size=8).digest())
        if fingerprint not in self._seen:
            self._seen.add(fingerprint)
            return
        self._repeats += 1
        if len(self._repeat_lines) < REPEATS_NAMED:
            self._repeat_lines.append(line)

    def add_bad(self, row: BadRow) -> None:
        """A row that was refused. All are counted, the first thousand are kept."""
        self.bad += 1
        if len(self._bad_lines) >= BAD_LINES_KEPT:
            return
        self._bad_lines.append(
            {
                "line": row.line,
                "reason": storable(row.reason),
                "remedy": storable(row.remedy),
                "excerpt": row.excerpt,
            }
        )

    def finish(self, **facts: Any) -> dict[str, Any]:
        """The report as JSON; `facts` are what the caller knows of the file."""
        return {
            **facts,
            "good": self.good,
            "bad": self.bad,
            "total": self.good + self.bad,
            "bad_lines": self._bad_lines,
            "warnings": [*facts.get("warnings", []), *self._warnings()],
            "multi_turn": self._multi_turn,
            "with_system": self._system,
            "lengths": self._lengths(),
        }

    def _lengths(self) -> dict[str, Any]:
        if not self.good:
            return {}
        return {
            "prompt": summarise(self._prompt_lengths),
            "answer": summarise(self._answer_lengths),
        }

    def _warnings(self) -> list[str]:
        warnings = []
        if self.good < settings.RECOMMENDED_EXAMPLES:
            warnings.append(
                f"{self.good:,} good examples are few: {settings.RECOMMENDED_EXAMPLES} to 500 "
                "usually give a much better model. You can tune already and add more later."
            )
        if self._repeats:
            warnings.append(self._repeat_warning())
        return warnings

    def _repeat_warning(self) -> str:
        lines = ", ".join(f"{line:,}" for line in self._repeat_lines)
        more = " and more" if self._repeats > len(self._repeat_lines) else ""
        what = "1 example repeats" if self._repeats == 1 else f"{self._repeats:,} examples repeat"
        where = "line" if self._repeats == 1 else "lines"
        return (
            f"{what} an earlier one exactly ({where} {lines}{more}). Repeated examples weigh "
            "more in tuning, and a repeated one in the held-out part makes results look too good."
        )


def storable(text: str) -> str:
    """Text as databases take it, and no longer than a table cell should be."""
    clean = text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return clean if len(clean) <= REASON_CHARACTERS else clean[: REASON_CHARACTERS - 1] + "…"
