"""The environment: what is understood, and what refuses to start."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from studio import env
from studio.processes import supervisor_configuration
from web.kept_secret import kept_secret


@pytest.mark.parametrize(
    ("word", "expected"), [("1", True), ("yes", True), ("0", False), ("", False)]
)
def test_a_flag_is_read(monkeypatch: pytest.MonkeyPatch, word: str, expected: bool) -> None:
    monkeypatch.setenv("STUDIO_DEBUG", word)
    assert env.flag("STUDIO_DEBUG") is expected


@pytest.mark.parametrize("word", ["maybe", "2", "treu"])
def test_a_strange_flag_is_named(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("STUDIO_DEBUG", word)
    with pytest.raises(ImproperlyConfigured, match="STUDIO_DEBUG"):
        env.flag("STUDIO_DEBUG")


@pytest.mark.parametrize("word", ["eighty", "-1", "0", "8000.5"])
def test_a_strange_port_is_named(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("STUDIO_PORT", word)
    with pytest.raises(ImproperlyConfigured, match="STUDIO_PORT"):
        env.number("STUDIO_PORT", 8000, minimum=1)


def test_a_list_has_no_empty_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_HOSTS", "a.example, ,b.example,")
    assert env.words("STUDIO_HOSTS") == ["a.example", "b.example"]


def test_processes_that_start_together_agree_on_a_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(kept_secret, [tmp_path / "secret"] * 8))
    assert len(secrets) == 1
    assert len(secrets.pop()) >= 43
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_an_external_broker_starts_no_embedded_one(settings: object) -> None:
    assert "[program:broker]" in supervisor_configuration()
    settings.EMBEDDED_BROKER = False  # type: ignore[attr-defined]
    assert "broker" not in supervisor_configuration()
