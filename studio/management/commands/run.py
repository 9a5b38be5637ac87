"""`manage.py run`: bring the data folder up to date, then run every process of the studio."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import shutil
import socket
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from library import shelf
from studio import processes

OPEN_FILES = 65_536


class Command(BaseCommand):
    """What `make run` calls."""

    help = "Run the studio: web, workers, model server and broker, until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, prepare, announce, and become the supervisor."""
        logging.disable(logging.WARNING)  # one line for the person; the rest is in the logs
        os.umask(0o077)  # the database holds sessions and password hashes
        hold_lock()
        check_port()
        raise_open_files()
        sweep_temporary_files()
        call_command("migrate", interactive=False, verbosity=0)
        shelf.add_default_base_model()
        configuration = processes.write_configuration()
        subprocess.Popen([sys.executable, "manage.py", "announce"], cwd=settings.BASE_DIR)
        os.execv(
            sys.executable,
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
        )


def hold_lock() -> None:
    """One studio a data folder: the lock is inherited by the supervisor and dies with it."""
    descriptor = os.open(settings.DATA_DIR / "locks" / "studio", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise CommandError(
            f"A studio is already running on {settings.DATA_DIR}. Stop it first, or give this "
            "one another DATA_DIR and STUDIO_PORT."
        ) from error
    os.set_inheritable(descriptor, True)


def check_port() -> None:
    """Say plainly when something else listens on our port."""
    family = socket.AF_INET6 if ":" in settings.STUDIO_BIND else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.STUDIO_BIND, settings.STUDIO_PORT))
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {settings.STUDIO_BIND}:{settings.STUDIO_PORT} "
                f"({error.strerror}). Choose another port: STUDIO_PORT=8001 make run"
            ) from error


def sweep_temporary_files() -> None:
    """Drop what a killed process left; a base model's download is kept, to go on from."""
    for leftover in settings.TEMPORARY_DIR.iterdir():
        if leftover.is_file():
            leftover.unlink(missing_ok=True)
        elif not leftover.name.startswith("base-model-"):
            shutil.rmtree(leftover, ignore_errors=True)


def raise_open_files() -> None:
    """Every open page holds a socket; the usual soft limit of 1,024 is soon reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
