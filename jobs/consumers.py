"""Websockets of the pages that watch a job. They listen only: whatever a person does is a POST.

Join the group, then replay from the database, then relay: nothing falls between. Knows no HTML
and no rules beyond who may watch.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import redis
from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from jobs import metrics
from jobs.models import Job, MetricPoint
from jobs.protocol import (
    LogMessage,
    MetricsMessage,
    Point,
    RewindMessage,
    SamplesMessage,
    StatusMessage,
)
from jobs.samples import samples_message

REPLAY_POINTS = 2000
RECHECK_SECONDS = 60.0
SIGNED_OUT = 4401
NOT_FOUND = 4404
TRY_AGAIN = 1013


class JobConsumer(AsyncJsonWebsocketConsumer):
    """One open page of one job."""

    job_id: UUID
    last_seq: int
    has_joined = False
    recheck: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Let the owner in, and send everything after `since`."""
        self.job_id = self.scope["url_route"]["kwargs"]["job_id"]
        self.last_seq = number_in(self.scope["query_string"], "since")
        await self.accept()  # a close before this would reach the page without its reason
        code = await self.refusal()
        if code:
            await self.close(code=code)
            return
        if not await self.join():
            await self.close(code=TRY_AGAIN)
            return
        await self.send_json(RewindMessage(type="rewind", step=await self.newest_step()))
        await self.replay()
        for line in await self.log_lines():
            await self.send_json(line)
        if samples := await self.samples():
            await self.send_json(samples)
        await self.send_json(await self.status())
        self.recheck = asyncio.create_task(self.keep_checking())

    async def join(self) -> bool:
        """Join the job's group. False while the broker is away: the page asks over HTTP then."""
        self.group = f"job_{self.job_id}"
        try:
            await self.channel_layer.group_add(self.group, self.channel_name)
        except (OSError, redis.RedisError):
            return False
        self.has_joined = True
        return True

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        if self.recheck:
            self.recheck.cancel()
            with suppress(asyncio.CancelledError):
                await self.recheck
        if self.has_joined:
            with suppress(OSError, redis.RedisError):
                await self.channel_layer.group_discard(self.group, self.channel_name)

    async def relay(self, event: dict[str, Any]) -> None:
        """Pass a published message on; fill from the database when one before it was lost."""
        message = event["message"]
        if message["type"] != "metrics":
            await self.send_json(message)
            return
        if message["points"][0]["seq"] > self.last_seq + 1:
            await self.replay()
        fresh = [point for point in message["points"] if point["seq"] > self.last_seq]
        if fresh:
            await self.send_points(fresh)

    async def replay(self) -> None:
        """Send the points after the last one sent, in portions."""
        while points := await self.points_after(self.last_seq):
            await self.send_points(points)

    async def send_points(self, points: list[Point]) -> None:
        """Send points and remember how far the page is."""
        self.last_seq = points[-1]["seq"]
        await self.send_json(MetricsMessage(type="metrics", points=points))

    async def keep_checking(self) -> None:
        """Close when the person signs out or loses the job."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            code = await self.refusal()
            if code:
                await self.close(code=code)
                return

    async def refusal(self) -> int | None:
        """Why this person may not watch, as a close code; None when they may."""
        user = await get_user(self.scope)
        session = self.scope["session"]
        if not user.is_authenticated or not await session.aexists(session.session_key):
            return SIGNED_OUT
        if not await Job.objects.for_user(user).filter(pk=self.job_id).aexists():
            return NOT_FOUND
        return None

    @database_sync_to_async
    def points_after(self, seq: int) -> list[Point]:
        """The next portion of points."""
        rows = MetricPoint.objects.filter(job_id=self.job_id, seq__gt=seq).order_by("seq")
        return [point.as_message() for point in rows[:REPLAY_POINTS]]

    @database_sync_to_async
    def newest_step(self) -> int:
        """The last step that has a point."""
        rows = MetricPoint.objects.filter(job_id=self.job_id)
        return rows.order_by("-step").values_list("step", flat=True).first() or 0

    @database_sync_to_async
    def log_lines(self) -> list[LogMessage]:
        """The lines that the page does not have."""
        number = number_in(self.scope["query_string"], "log")
        return metrics.log_after(Job.objects.get(pk=self.job_id), number)

    @database_sync_to_async
    def samples(self) -> SamplesMessage | None:
        """The newest answers to the fixed prompts."""
        job = Job.objects.get(pk=self.job_id)
        rows = list(job.samples.filter(step=metrics.sampled_step(job)).order_by("position"))
        return samples_message(rows) if rows else None

    @database_sync_to_async
    def status(self) -> StatusMessage:
        """Where the job stands."""
        work = Job.objects.select_related("work").get(pk=self.job_id).work
        return StatusMessage(type="status", status=work.status, phase=work.phase)


def number_in(query_string: bytes, name: str) -> int:
    """A number of the address; 0 when it is missing or none."""
    value = parse_qs(query_string.decode(errors="replace")).get(name, ["0"])[0]
    return int(value) if value.isdecimal() and len(value) < 10 else 0
