"""The engine processes of this machine: one per base model, started when it is first asked for.

The least recently used idle one makes room for another; one that died is started again by the next
request. An engine lives no longer than the host: it ends when its standard input does. Knows
folders and processes, not names of models and not what is asked of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from serving.refusals import TooBusy, Unavailable
from tuner.convert import read_facts
from tuner.errors import ModelError

log = logging.getLogger(__name__)

PROCESS_BYTES = 500_000_000
"""What an engine takes besides its weights: torch itself, and the caches of its answers."""
BYTES_PER_PARAMETER = 4
EXIT_SECONDS = 1.0

SPIN_COUNT = "1000"
"""How long threads wait for each other without sleeping: some 20 microseconds, not the library's
5 milliseconds, which on a machine that does other work too are most of the time. Measured with a
135M model beside busy processes on two cores: 70 ms a token instead of 450."""


class EngineProcess:
    """One engine: its process, the client of its socket, and how many requests hold it."""

    def __init__(self, base: Path, run_folder: Path, data_folder: Path) -> None:
        self.base = base
        self.size_bytes = 0
        self.holders = 0
        self.last_used_at = time.monotonic()
        # No longer than the host's own name: where that fits into a socket's path, this does.
        name = hashlib.sha256(str(base).encode()).hexdigest()[:6]
        self._socket = run_folder / f"e{name}.sock"
        self._data_folder = data_folder
        self._process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                uds=str(self._socket),
                # None is kept: the engine closes an idle one, and the next request would fail on it
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            ),
            base_url="http://engine",
            timeout=httpx.Timeout(10, read=None),
            trust_env=False,
        )
        self.started: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """loading, ready or stopped."""
        if self.started is None or not self.started.done():
            return "loading"
        is_running = self._process is not None and self._process.returncode is None
        return "ready" if is_running and self.started.exception() is None else "stopped"

    async def start(self) -> None:
        """Start the process and wait until the model is loaded."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "serving.engine", "--base", str(self.base)),
            *("--socket", str(self._socket), "--data-dir", str(self._data_folder)),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "GOMP_SPINCOUNT": SPIN_COUNT},
        )
        assert self._process.stdout is not None
        report = await self._process.stdout.readline()
        error = json.loads(report)["error"] if report else "Its engine stopped while loading."
        if error:
            raise Unavailable(f"The model could not be loaded. {error}", code="model_load_failed")

    async def health(self) -> dict[str, Any]:
        """What the engine says of itself; without an answer, only what is seen from here."""
        seen = {"base": str(self.base), "state": self.state, "holders": self.holders}
        if self.state != "ready":
            return seen
        try:
            answer = await self.client.get("/healthz", timeout=2)
            return {**seen, **answer.json()}
        except httpx.TransportError:
            return {**seen, "state": "silent"}

    async def has_died(self) -> bool:
        """Whether the process has ended. Its socket closes a moment before that can be seen."""
        if self._process is None:
            return True
        try:
            await asyncio.wait_for(self._process.wait(), EXIT_SECONDS)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """End the process at once: it keeps nothing that could be lost."""
        self._socket.unlink(missing_ok=True)
        if self.started:
            self.started.cancel()
            await asyncio.gather(self.started, return_exceptions=True)
        if self._process:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
        await self.client.aclose()


class Fleet:
    """All engines, within a limit of memory, each with a limit of requests."""

    def __init__(
        self, *, run_folder: Path, data_folder: Path, memory_bytes: int, most_requests: int
    ) -> None:
        self._run_folder = run_folder
        self._data_folder = data_folder
        self._memory_bytes = memory_bytes
        self._most_requests = most_requests
        self._engines: dict[Path, EngineProcess] = {}
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def lease(self, base: Path) -> AsyncIterator[EngineProcess]:
        """The engine of `base`, started if need be, and not evicted while it is held."""
        async with self._changing:
            engine = await self._running_or_new(base)
            if engine.holders >= self._most_requests:
                raise TooBusy(
                    f"{self._most_requests} requests for this model are being answered or wait. "
                    "Try again in a few seconds."
                )
            engine.holders += 1
        try:
            assert engine.started is not None
            # Shielded: others wait for the same start, and the next request will be glad of it.
            await asyncio.shield(engine.started)
            yield engine
        finally:
            engine.holders -= 1
            engine.last_used_at = time.monotonic()

    async def discard(self, engine: EngineProcess) -> None:
        """Stop an engine that no longer answers; the next lease starts another."""
        if self._engines.get(engine.base) is engine:
            del self._engines[engine.base]
            await engine.stop()

    def find(self, base: Path) -> EngineProcess | None:
        """The engine of this base model, if one was started."""
        return self._engines.get(base)

    def running(self) -> list[EngineProcess]:
        """The engines there are, whatever their state."""
        return list(self._engines.values())

    async def close(self) -> None:
        """Stop all engines."""
        await asyncio.gather(*(engine.stop() for engine in self._engines.values()))
        self._engines.clear()

    async def _running_or_new(self, base: Path) -> EngineProcess:
        engine = self._engines.get(base)
        if engine and engine.state != "stopped":
            return engine
        if engine:
            log.warning("The engine of %s has stopped; starting it again.", base)
            await self.discard(engine)
        engine = EngineProcess(base, self._run_folder, self._data_folder)
        engine.size_bytes = await asyncio.to_thread(memory_needed, base)
        await self._make_room(engine.size_bytes)
        self._engines[base] = engine
        engine.started = asyncio.create_task(engine.start())
        engine.started.add_done_callback(_log_failure)
        return engine

    async def _make_room(self, needed_bytes: int) -> None:
        if needed_bytes > self._memory_bytes:
            raise Unavailable(
                f"The model needs about {_gigabytes(needed_bytes)} of memory, and the model server "
                f"may use {_gigabytes(self._memory_bytes)}. Raise STUDIO_SERVING_MEMORY_MB.",
                code="out_of_memory",
            )
        while self._used_bytes() + needed_bytes > self._memory_bytes:
            idle = [engine for engine in self._engines.values() if engine.holders == 0]
            if not idle:
                raise Unavailable(
                    "All memory of the model server is taken by models that are answering. "
                    "Try again when they are done.",
                    code="out_of_memory",
                )
            await self.discard(min(idle, key=lambda engine: engine.last_used_at))

    def _used_bytes(self) -> int:
        engines = self._engines.values()
        return sum(engine.size_bytes for engine in engines if engine.state != "stopped")


def memory_needed(base: Path) -> int:
    """About how much memory the engine of a base model takes; refuses what is not a model.

    Its chat template, which is somebody else's code, is left to the engine's own process.
    """
    try:
        return read_facts(base).parameters * BYTES_PER_PARAMETER + PROCESS_BYTES
    except ModelError as error:
        raise Unavailable(str(error), code="model_load_failed") from None


def _log_failure(started: asyncio.Task[None]) -> None:
    if not started.cancelled() and started.exception():
        log.warning("An engine did not start: %s", started.exception())


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
