"""The kinds of work. Each app registers its own in AppConfig.ready()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from work.claim import Claim
    from work.models import WorkItem


def ignore(item: WorkItem) -> None:
    """The default of `on_change`: nobody waits for it."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What runs when an item of this kind is claimed."""

    name: str
    queue: str
    """"gpu" for tuning, "cpu" for everything else."""
    run: Callable[[Claim], None]
    """Does the work. Raises WorkFailedError with a sentence for the page, StopRequestedError after
    a person's stop, ReleasedError when the process must go and another may carry on."""
    on_change: Callable[[WorkItem], None] = ignore
    """Called after each change of state is committed, to tell open pages."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind known; once, by its app."""
    _kinds[kind.name] = kind


def get(name: str) -> Kind:
    """The kind of that name."""
    return _kinds[name]


def forget(name: str) -> None:
    """Take a kind away again, for tests that bring their own."""
    del _kinds[name]
