"""A worker process tells the database that it lives, from the moment it is up."""

from __future__ import annotations

import logging
import os
import socket
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import DatabaseError, connection

from work.models import Worker

logger = logging.getLogger(__name__)

_stopped = threading.Event()
_connected = threading.Lock()
"""Held while this process has a connection. SQLite keeps its locks in memory too: a child forked
at such a moment would inherit a lock that nobody releases, so forks wait for this one."""


def connect() -> None:
    """Follow the life of the Celery worker that this process may become."""
    worker_ready.connect(start, weak=False)
    worker_shutdown.connect(stop, weak=False)
    os.register_at_fork(
        before=_connected.acquire,
        after_in_parent=_connected.release,
        after_in_child=_connected.release,
    )


def own_queues(consumer: Any) -> list[str]:
    """The queues of this worker on which work items wait."""
    return [name for name in consumer.app.amqp.queues.consume_from if name != "control"]


def start(sender: Any, **kwargs: Any) -> None:
    """Begin to beat, in the parent process, which outlives every child."""
    for queue in own_queues(sender):
        name = f"{socket.gethostname()}:{queue}:{os.getpid()}"
        threading.Thread(target=beat, args=(name, queue), daemon=True, name="presence").start()


def stop(sender: Any, **kwargs: Any) -> None:
    """Stop beating and take the rows away, so that pages know at once."""
    _stopped.set()
    mine = {"name__startswith": f"{socket.gethostname()}:", "name__endswith": f":{os.getpid()}"}
    with _connected:
        Worker.objects.filter(**mine).delete()
        connection.close()


def beat(name: str, queue: str) -> None:
    """Every few seconds until the worker stops."""
    while True:
        with _connected:
            tell(name, queue)
        if _stopped.wait(settings.HEARTBEAT_SECONDS):
            return


def tell(name: str, queue: str) -> None:
    """One beat, and no connection left behind."""
    try:
        Worker.beat(name, queue)
    except DatabaseError as error:
        logger.warning("Could not tell the database that this worker lives: %s", error)
    finally:
        connection.close()
