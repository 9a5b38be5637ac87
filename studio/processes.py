"""The processes of a studio on one machine, as configuration for supervisord.

Supervisord restarts what dies, waits longer each time something dies at once, and stops
everything on Ctrl-C. The broker is a group of its own: first up, last down.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

STOP_SECONDS = 12
"""A tuning job saves a checkpoint and gives its lease back within ten."""

HELPER_MEMORY_KILOBYTES = 400_000
"""A helper's child that has grown beyond this, by loading a model say, is replaced."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """One program, and the seconds after which it counts as started."""

    name: str
    command: str
    group: str = "studio"


def processes() -> list[Process]:
    """What runs, in order."""
    python = sys.executable
    worker = f"{python} -m celery --app studio worker --without-gossip --without-mingle"
    embedded = [Process(name="broker", command=f"{python} manage.py run_broker", group="broker")]
    return [
        *(embedded if settings.EMBEDDED_BROKER else []),
        Process(
            name="web",
            command=f"{python} -m uvicorn studio.asgi:application --host {settings.STUDIO_BIND} "
            f"--port {settings.STUDIO_PORT} --lifespan off --no-access-log "
            "--timeout-graceful-shutdown 3",
        ),
        Process(
            name="tuning",
            # A fresh child per job, forked from a parent that has torch imported already.
            command=f"{worker} --queues gpu --hostname tuning@%%h --concurrency 1 "
            "--max-tasks-per-child 1 --disable-prefetch --include jobs.warm",
        ),
        Process(
            name="helper",
            # Two children, one of which takes no long work: the control ticks always get through.
            command=f"{worker} --queues cpu,control --hostname helper@%%h --concurrency 2 "
            f"--max-memory-per-child {HELPER_MEMORY_KILOBYTES} --disable-prefetch "
            f"--beat --schedule {settings.RUN_DIR / 'beat'}",
        ),
        Process(
            name="serving",
            command=f"{python} -m serving --socket {settings.RUN_DIR / 'serving.sock'} "
            f"--data-dir {settings.DATA_DIR} --memory {settings.SERVING_MEMORY_BYTES}",
        ),
    ]


def program_section(process: Process) -> str:
    """One [program:...] of supervisord's configuration."""
    log = settings.DATA_DIR / "logs" / f"{process.name}.log"
    return f"""
[program:{process.name}]
command={process.command}
directory={settings.BASE_DIR}
autorestart=true
startsecs=3
startretries=100000
stopwaitsecs={STOP_SECONDS}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={log}
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
logfile={logs / "supervisor.log"}
pidfile={run / "supervisor.pid"}
childlogdir={logs}
umask=077
"""
    return head + "".join(program_section(process) for process in programs) + groups + "\n"


def write_configuration() -> Path:
    """Put the file into place and say where."""
    file = Path(settings.RUN_DIR) / "supervisor.conf"
    file.write_text(supervisor_configuration())
    return file
