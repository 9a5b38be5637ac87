"""Put a measured text into the README, between the two marks that belong to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def write_between(mark: str, text: str) -> None:
    """Replace what stands between <!-- mark --> and <!-- /mark -->."""
    start, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, rest = README.read_text(encoding="utf-8").split(start)
    _, after = rest.split(end)
    README.write_text(f"{before}{start}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
