"""Publish messages to open pages, from any thread, without slowing the caller.

Knows groups and messages; the types of messages belong to the apps. The database is the truth:
a message that is lost costs a page nothing but a reload of the same rows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import redis
from channels.layers import get_channel_layer
from django.conf import settings

logger = logging.getLogger(__name__)


class Publisher:
    """One background thread with one event loop; `async_to_sync` a message costs ten times more."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.layer = get_channel_layer()
        self.is_away = False
        threading.Thread(target=self.loop.run_forever, daemon=True, name="live").start()

    def publish(self, group: str, message: Mapping[str, Any]) -> Future[None]:
        """Hand the message to the thread; the future is for those who must wait."""
        return asyncio.run_coroutine_threadsafe(self.send(group, message), self.loop)

    async def send(self, group: str, message: Mapping[str, Any]) -> None:
        """To all sockets of the group. A broker that is away is no reason to stop the work."""
        try:
            await self.layer.group_send(group, {"type": "relay", "message": dict(message)})
        except (OSError, redis.RedisError) as error:
            if not self.is_away:
                logger.warning("Open pages hear of no updates for now: %s", error)
            self.is_away = True
        else:
            self.is_away = False


_publishers: dict[int, Publisher] = {}
_lock = threading.Lock()


def publisher() -> Publisher:
    """This process's publisher; a forked child starts its own."""
    with _lock:
        if os.getpid() not in _publishers:
            _publishers.clear()
            _publishers[os.getpid()] = Publisher()
        return _publishers[os.getpid()]


def publish(group: str, message: Mapping[str, Any]) -> Future[None]:
    """Send `message` to every open page of `group`, after its rows are committed."""
    return publisher().publish(group, message)


def broker_answers() -> bool:
    """Whether the broker can be reached now."""
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2
        ) as client:
            return bool(client.ping())
    except (OSError, redis.RedisError):
        return False
