"""A kind of work for the tests: it does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from work import kinds
from work.claim import Claim
from work.models import WorkItem

KIND = "test"


class TestWork:
    """The body of the next run, and the states that were told."""

    __test__ = False

    def __init__(self) -> None:
        self.body: Callable[[Claim], None] = lambda claim: None
        self.told: list[str] = []

    def run(self, claim: Claim) -> None:
        """Do what the test set."""
        self.body(claim)

    def tell(self, item: WorkItem) -> None:
        """Remember the state."""
        self.told.append(item.status)


@pytest.fixture
def test_work() -> Iterator[TestWork]:
    """A registered kind of work on the cpu queue."""
    work = TestWork()
    kinds.register(kinds.Kind(name=KIND, queue="cpu", run=work.run, on_change=work.tell))
    yield work
    kinds.forget(KIND)
