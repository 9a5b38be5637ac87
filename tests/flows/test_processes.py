"""The processes as a person meets them: one line, restarts, Ctrl-C, a second start."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.flows.running import REPOSITORY, Studio, eventually

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def own_studio() -> Iterator[Studio]:
    """A studio that this file may kill as it likes."""
    with tempfile.TemporaryDirectory(prefix="flow-", dir="/tmp") as folder:
        running = Studio(Path(folder))
        running.start()
        yield running
        if running.process.poll() is None:
            running.stop()


def answers(studio: Studio) -> bool:
    try:
        return httpx.get(f"{studio.address}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_one_line_says_where_to_go(own_studio: Studio) -> None:
    assert re.fullmatch(rf"Open {own_studio.address}/setup/\?token=[\w-]{{43}}", own_studio.line)
    token_file = own_studio.folder / "run" / "setup_token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("words", ["uvicorn studio.asgi", "valkey-server", "-m serving"])
def test_what_dies_is_started_again(own_studio: Studio, words: str) -> None:
    (first, *_) = eventually(lambda: own_studio.processes(words))
    os.kill(first.pid, signal.SIGKILL)

    def replaced() -> bool:
        now = own_studio.processes(words)
        return bool(now) and now[0].pid != first.pid

    eventually(replaced, timeout_seconds=30)
    eventually(lambda: answers(own_studio), timeout_seconds=30)


def test_a_second_studio_on_the_same_folder_is_refused(own_studio: Studio) -> None:
    second = subprocess.run(
        [sys.executable, "manage.py", "run"],
        cwd=REPOSITORY,
        env={**own_studio.environment, "STUDIO_PORT": str(own_studio.port + 1)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "already running" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_named(own_studio: Studio, tmp_path: Path) -> None:
    second = subprocess.run(
        [sys.executable, "manage.py", "run"],
        cwd=REPOSITORY,
        env={**own_studio.environment, "DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"127.0.0.1:{own_studio.port}" in second.stderr


def test_ctrl_c_stops_everything_within_fifteen_seconds(own_studio: Studio) -> None:
    assert own_studio.stop() < 15
    assert own_studio.left_over == []
