"""A set-up token of its own for each test, and no memory of earlier tries to sign in."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings

from accounts import setup


@pytest.fixture(autouse=True)
def fresh_rate_limits() -> None:
    """Tries are counted in the process's cache."""
    cache.clear()


@pytest.fixture
def token_file(tmp_path: Path, settings: Settings) -> Path:
    """Where the token is kept in this test."""
    settings.SETUP_TOKEN_FILE = tmp_path / "run" / "setup_token"
    return tmp_path / "run" / "setup_token"


@pytest.fixture
def token(token_file: Path) -> str:
    """The token as the terminal shows it."""
    return setup.token()
