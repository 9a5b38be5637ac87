"""A model server with a base model and two tuned ones, shared by the tests that only ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.server import Server, write_adapter


@pytest.fixture(scope="session")
def adapters(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [write_adapter(tiny_model, folder / str(seed), seed) for seed in (1, 2)]


@pytest.fixture(scope="session")
def server(
    tiny_model: Path, adapters: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("serving"), "--requests", "4") as server:
        server.register("base", tiny_model)
        server.register("first", tiny_model, adapters[0])
        server.register("second", tiny_model, adapters[1])
        yield server
