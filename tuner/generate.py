"""Answers, token by token: one base model, any number of adapters, many answers at once.

A request goes in, a Stream of text pieces comes out. One thread owns the model and gives every
open answer one step in turn, each with its own cache and its own adapter. Knows no HTTP, no names
of users, and how text becomes tokens only through ChatEncoder.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from tuner.adapters import Adapter, AdapterSwitch
from tuner.answer import Answer
from tuner.encode import ChatEncoder
from tuner.errors import AdapterError, ModelError, PromptTooLongError, TunerError
from tuner.examples import Message
from tuner.sampling import Sampling
from tuner.stream import Stream

log = logging.getLogger(__name__)

THREADS_CHECKED_EVERY_SECONDS = 1.0
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    re.error,
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A conversation to be continued by the base model, or by one adapter on it."""

    messages: tuple[Message, ...]
    adapter: str | None = None
    sampling: Sampling = field(default_factory=Sampling)


class Engine:
    """A base model in memory that answers requests; close() when done."""

    def __init__(
        self,
        model: PreTrainedModel,
        encoder: ChatEncoder,
        *,
        most_active: int = 16,
        stall_seconds: float = 60.0,
        thread_count: Callable[[], int] = lambda: os.cpu_count() or 1,
    ) -> None:
        self._model = model
        self._encoder = encoder
        self._most_active = most_active
        self._stall_seconds = stall_seconds
        self._thread_count = thread_count
        self._switch = AdapterSwitch(model)
        self._adapters: dict[str, tuple[Adapter, ChatEncoder]] = {}
        self._waiting: deque[Answer] = deque()
        self._active: list[Answer] = []
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._chunk_tokens = _prefill_chunk_tokens(model)
        self.context_length_tokens: int = model.config.get_text_config().max_position_embeddings
        self.threads = thread_count()
        self._loop = threading.Thread(target=self._run, name="generate", daemon=True)
        self._loop.start()

    @classmethod
    def load(
        cls,
        base: Path,
        *,
        dtype: torch.dtype | None = None,
        most_active: int = 16,
        stall_seconds: float = 60.0,
        thread_count: Callable[[], int] = lambda: os.cpu_count() or 1,
    ) -> Engine:
        """The engine of a base model folder, in the precision that is fastest here."""
        encoder = ChatEncoder.load(base)
        model = _load_model(base, dtype or fastest_dtype())
        return cls(
            model,
            encoder,
            most_active=most_active,
            stall_seconds=stall_seconds,
            thread_count=thread_count,
        )

    @property
    def active_count(self) -> int:
        return len(self._active)

    @property
    def waiting_count(self) -> int:
        return len(self._waiting)

    @property
    def adapter_names(self) -> list[str]:
        return list(self._adapters)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Make an adapter answerable as `name`; open answers of a former one keep theirs."""
        adapter = self._read_adapter(folder)
        has_template = (folder / "tokenizer_config.json").exists()
        encoder = ChatEncoder.load(folder) if has_template else self._encoder
        self._adapters[name] = (adapter, encoder)

    def _read_adapter(self, folder: Path) -> Adapter:
        try:
            return self._switch.read(folder)
        except _DAMAGE as error:  # files that can be read, and hold what no export writes
            raise AdapterError(
                f"The adapter in {folder} is damaged ({type(error).__name__}: {error}). "
                "Export it again."
            ) from error

    def drop_adapter(self, name: str) -> None:
        """Forget an adapter; answers already begun with it are finished."""
        self._adapters.pop(name, None)

    def submit(self, request: Request) -> Stream:
        """Queue a request; its pieces come out of the stream."""
        adapter, encoder = self._find_adapter(request.adapter)
        prompt = encoder.encode_prompt(request.messages)
        room = self.context_length_tokens - len(prompt)
        if room < 1:
            raise PromptTooLongError(
                f"The conversation is {len(prompt):,} tokens long; this model reads at most "
                f"{self.context_length_tokens:,}, its answer included. Shorten the conversation."
            )
        stream = Stream(len(prompt), self._wake.set)
        answer = Answer(request.sampling, stream, adapter, encoder, prompt, room, self._model)
        with self._lock:
            if self._closed:
                raise TunerError("The engine has been closed.")
            self._waiting.append(answer)
        self._wake.set()
        return stream

    def close(self) -> None:
        """Stop within one step; open streams end with an error."""
        with self._lock:
            self._closed = True
        self._wake.set()
        self._loop.join()

    def wait(self) -> None:
        """Until it has been closed, or has failed: in neither case does it answer any more."""
        self._loop.join()

    def _find_adapter(self, name: str | None) -> tuple[Adapter | None, ChatEncoder]:
        if name is None:
            return None, self._encoder
        if name not in self._adapters:
            raise AdapterError(f"There is no adapter {name} here. Load it first.")
        return self._adapters[name]

    # ---- the loop ------------------------------------------------------------------------------

    def _run(self) -> None:
        reason = "The engine was closed before the answer was complete."
        try:
            self._answer_until_closed()
        except Exception:
            log.exception("The token loop failed.")
            reason = "The engine failed before the answer was complete. Send it again."
        with self._lock:
            self._closed = True
        for answer in [*self._active, *self._waiting]:
            # A listener may be gone by now, with its event loop; the others still have to hear it.
            with suppress(RuntimeError):
                answer.stream.fail(TunerError(reason))

    def _answer_until_closed(self) -> None:
        threads_checked_at = -float("inf")
        while not self._closed:
            self._wake.clear()
            self._admit()
            ready = [answer for answer in self._active if answer.stream.has_room]
            if ready and time.monotonic() - threads_checked_at >= THREADS_CHECKED_EVERY_SECONDS:
                self._set_threads()
                threads_checked_at = time.monotonic()
            for answer in ready:
                self._step(answer)
            if not ready:
                self._wake.wait(timeout=self._idle_seconds())

    def _admit(self) -> None:
        """Let finished and stalled answers go, and waiting ones in."""
        for answer in self._active:
            if answer.stream.stalled_seconds() > self._stall_seconds:
                answer.stream.fail(TunerError("The answer was given up: nobody was reading it."))
        with self._lock:
            self._active = [answer for answer in self._active if not answer.stream.is_finished]
            self._waiting = deque(a for a in self._waiting if not a.stream.is_finished)
            while self._waiting and len(self._active) < self._most_active:
                self._active.append(self._waiting.popleft())

    def _idle_seconds(self) -> float | None:
        return min(1.0, self._stall_seconds) if self._active else None

    def _set_threads(self) -> None:
        # Here and not elsewhere: the number of threads belongs to the thread that computes.
        try:
            threads = self._thread_count()
        except OSError:  # asking takes a file, and there may be none left to open for a moment
            log.warning("The number of threads stays at %s.", self.threads, exc_info=True)
            return
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)
        self.threads = threads

    def _step(self, answer: Answer) -> None:
        try:
            with torch.inference_mode(), self._switch.on(answer.adapter):
                answer.step(self._chunk_tokens)
        except Exception as error:
            log.exception("An answer broke off.")
            answer.stream.fail(TunerError(f"The model could not go on: {error}."))


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the processor computes in it, else float32.

    One row at a time is bound by reading the weights, so half the bytes are nearly half the time;
    without the instructions bfloat16 is emulated and slower.
    """
    if torch.cuda.is_available():
        return torch.bfloat16
    processor = torch.cpu.get_capabilities()
    has_bfloat16 = any(processor.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if has_bfloat16 else torch.float32


def _load_model(base: Path, dtype: torch.dtype) -> PreTrainedModel:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ModelError(f"{base} cannot be loaded: {error}") from error
    loaded: PreTrainedModel = model.to(device).eval().requires_grad_(False)
    return loaded


def _prefill_chunk_tokens(model: PreTrainedModel) -> int:
    """How much of a prompt to read in one step: about a quarter of a second on two cores.

    Between steps other answers go on and a cancelled one is dropped, so a step must stay short.
    """
    if model.device.type == "cuda":
        return 2048
    parameters: int = model.num_parameters()
    return max(32, min(256, 40_000_000_000 // parameters))
