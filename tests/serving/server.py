"""A real model server for tests: the host in a process of its own, on a real socket."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy
from safetensors.numpy import load_file, save_file

ENDLESS: dict[str, Any] = {"temperature": 0, "max_tokens": 2000}
"""The random model repeats itself for longer than any test looks."""


class Server:
    """A running host and what a test asks of it.

    It is told that a job tunes, so that it computes in one thread: two of them on a busy machine
    spend their time waiting for each other, for so small a model.
    """

    def __init__(self, data_folder: Path, *options: str) -> None:
        self.data_folder = data_folder
        (data_folder / "locks").mkdir(exist_ok=True)
        self.cpu_lock = (data_folder / "locks" / "cpu").open("w")
        fcntl.flock(self.cpu_lock, fcntl.LOCK_EX)
        self.socket = data_folder / "run" / "serving.sock"
        command = [sys.executable, "-m", "serving", "--socket", str(self.socket)]
        self.process = subprocess.Popen([*command, "--data-dir", str(data_folder), *options])
        wait_until(self.is_up)
        transport = httpx.HTTPTransport(uds=str(self.socket))
        self.client = httpx.Client(transport=transport, base_url="http://serving", timeout=60)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.cpu_lock.close()
        self.process.terminate()
        self.process.wait(timeout=5)

    def is_up(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def register(self, name: str, base: Path, adapter: Path | None = None) -> None:
        body = {"base": str(base), "adapter": str(adapter) if adapter else None}
        self.client.put(f"/models/{name}", json=body).raise_for_status()

    def ask(self, model: str, text: str = "hi", **parameters: Any) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json=asked(model, text, **parameters))

    def answer(self, model: str, text: str = "hi", **parameters: Any) -> str:
        response = self.ask(model, text, **{"temperature": 0, "max_tokens": 20, **parameters})
        response.raise_for_status()
        return str(response.json()["choices"][0]["message"]["content"])

    @contextmanager
    def stream(
        self, model: str, text: str = "hi", timeout: float = 60, **parameters: Any
    ) -> Iterator[Iterator[Any]]:
        """The events of a streamed answer."""
        body = asked(model, text, stream=True, **parameters)
        path = "/v1/chat/completions"
        with self.client.stream("POST", path, json=body, timeout=timeout) as response:
            assert response.status_code == 200, response.read()
            yield events(response.iter_lines())

    def engines(self) -> list[dict[str, Any]]:
        return list(self.client.get("/healthz").json()["engines"])

    def engine(self, base: Path) -> dict[str, Any]:
        return next(e for e in self.engines() if e["base"] == str(base.resolve()))


def asked(model: str, text: str, **parameters: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **parameters}


def events(lines: Iterator[str]) -> Iterator[Any]:
    """What stands in each event; "[DONE]" as it is."""
    for line in lines:
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            yield data if data == "[DONE]" else json.loads(data)


def text_of(event: Any) -> str:
    """The piece of the answer in an event, if there is one."""
    choices = event.get("choices") if isinstance(event, dict) else None
    return choices[0]["delta"].get("content", "") if choices else ""


@contextmanager
def held(pid: int) -> Iterator[None]:
    """A process that stands still, as the kernel stops it, and then goes on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be counted does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until(is_true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def write_adapter(base: Path, folder: Path, seed: int) -> Path:
    """An adapter of random numbers in peft's format, strong enough to change every answer."""
    generator = numpy.random.default_rng(seed)
    halves = {}
    for name, weight in load_file(base / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            continue
        layer = f"base_model.model.{name.removesuffix('.weight')}"
        sizes = {"A": (4, weight.shape[1]), "B": (weight.shape[0], 4)}
        for half, size in sizes.items():
            values = generator.normal(0, 0.2, size).astype(numpy.float32)
            halves[f"{layer}.lora_{half}.weight"] = values
    folder.mkdir(parents=True)
    save_file(halves, str(folder / "adapter_model.safetensors"))
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": "all-linear"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder
