"""The processes of a studio on one machine, as configuration for supervisord.

Supervisord restarts what dies, waits longer each time something dies at once, and stops
everything on Ctrl-C. The broker is a group of its own: first up, last down.
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

PYTHON = [sys.executable]
STOP_SECONDS = 12
"""A tuning job saves a checkpoint and gives its lease back within ten."""

HELPER_MEMORY_KILOBYTES = 400_000
"""A helper's child that has grown beyond this, by loading a model say, is replaced."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One program."""

    name: str
    command: list[str]
    group: str = "studio"


def processes() -> list[Process]:
    """What runs, in order."""
    embedded = [
        Process(name="broker", command=[*PYTHON, "manage.py", "run_broker"], group="broker")
    ]
    return [*(embedded if settings.EMBEDDED_BROKER else []), web(), *workers(), serving()]


def web() -> Process:
    """Pages, and the sockets beside them."""
    listen = ["--host", settings.STUDIO_BIND, "--port", str(settings.STUDIO_PORT)]
    quiet = ["--lifespan", "off", "--no-access-log", "--timeout-graceful-shutdown", "3"]
    # Who a request comes from decides whose failed sign-ins are counted together.
    trusts = settings.STUDIO_TRUST_PROXY
    proxy = ["--proxy-headers", "--forwarded-allow-ips", "*"] if trusts else ["--no-proxy-headers"]
    return Process(
        name="web",
        command=[*PYTHON, "-m", "uvicorn", "studio.asgi:application", *listen, *quiet, *proxy],
    )


def workers() -> list[Process]:
    """One that tunes, one that helps, and one for control that never has anything long to do."""
    # A fresh child per job, forked from a parent that has torch imported already. macOS does not
    # allow such a fork, so there each child imports it for itself.
    warm = ["--include", "jobs.warm"] if sys.platform == "linux" else []
    return [
        worker("tuning", "gpu", "--max-tasks-per-child", "1", *warm),
        worker("helper", "cpu", "--max-memory-per-child", str(HELPER_MEMORY_KILOBYTES)),
        worker(
            "control", "control", "--pool", "solo",
            "--beat", "--schedule", str(settings.RUN_DIR / "beat"),
        ),
    ]  # fmt: skip


def worker(name: str, queue: str, *options: str) -> Process:
    """A Celery worker with one task at a time, and none reserved behind it."""
    celery = ["-m", "celery", "--app", "studio", "worker", "--without-gossip", "--without-mingle"]
    alone = ["--concurrency", "1", "--disable-prefetch"]
    own = ["--queues", queue, "--hostname", f"{name}@%h"]
    return Process(name=name, command=[*PYTHON, *celery, *own, *alone, *options])


def serving() -> Process:
    """The model server's host."""
    socket = ["--socket", str(settings.RUN_DIR / "serving.sock")]
    memory = ["--memory", str(settings.SERVING_MEMORY_BYTES)]
    return Process(
        name="serving",
        command=[*PYTHON, "-m", "serving", *socket, "--data-dir", str(settings.DATA_DIR), *memory],
    )


def quoted(text: object) -> str:
    """As supervisord reads it: it expands what follows a per cent sign."""
    return str(text).replace("%", "%%")


def program_section(process: Process) -> str:
    """One [program:...] of supervisord's configuration."""
    log = settings.DATA_DIR / "logs" / f"{process.name}.log"
    return f"""
[program:{process.name}]
command={quoted(shlex.join(process.command))}
directory={quoted(settings.BASE_DIR)}
autorestart=true
startsecs=3
startretries=100000
stopwaitsecs={STOP_SECONDS}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={quoted(log)}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def supervisor_configuration() -> str:
    """The whole file."""
    run, logs = settings.RUN_DIR, settings.DATA_DIR / "logs"
    programs = processes()
    groups = "".join(
        f"\n[group:{group}]\npriority={priority}\nprograms="
        + ",".join(process.name for process in programs if process.group == group)
        for priority, group in ((1, "broker"), (2, "studio"))
        if any(process.group == group for process in programs)
    )
    head = f"""[supervisord]
nodaemon=true
silent=true
logfile={quoted(logs / "supervisor.log")}
pidfile={quoted(run / "supervisor.pid")}
childlogdir={quoted(logs)}
umask=077
environment=PYTHONUNBUFFERED="1"
"""
    return head + "".join(program_section(process) for process in programs) + groups + "\n"


def write_configuration() -> Path:
    """Put the file into place and say where."""
    file = Path(settings.RUN_DIR) / "supervisor.conf"
    file.write_text(supervisor_configuration())
    return file
