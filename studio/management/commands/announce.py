"""`manage.py announce`: wait until the studio answers, then print the one line a person needs."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand

from accounts import setup

WAIT_SECONDS = 120.0


class Command(BaseCommand):
    """Started by `manage.py run` beside the supervisor."""

    help = "Wait until the studio answers and print its address."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the address: with the set-up token as long as there is no account."""
        logging.disable(logging.WARNING)  # a line for each attempt would hide the one that matters
        supervisor = os.getppid()
        if not wait_until_up(supervisor):
            self.stderr.write(
                f"The studio does not answer yet. Its logs are in {settings.DATA_DIR / 'logs'}."
            )
            return
        path = f"/setup/?token={setup.token()}" if setup.is_open() else "/"
        self.stdout.write(f"Open {address()}{path}")


def address() -> str:
    """Where a browser on this machine finds the studio."""
    bind = settings.STUDIO_BIND
    host = "127.0.0.1" if bind in {"0.0.0.0", "::"} else f"[{bind}]" if ":" in bind else bind
    return f"http://{host}:{settings.STUDIO_PORT}"


def wait_until_up(supervisor: int) -> bool:
    """Ask until the web process answers; give up with the supervisor or after the wait."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and os.getppid() == supervisor:
        try:
            httpx.get(f"{address()}/healthz", timeout=5, trust_env=False)
            return True
        except httpx.TransportError:
            time.sleep(0.1)
    return False
