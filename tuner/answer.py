"""One open answer of the engine: what is unread, its cache, and how its next token is chosen.

Knows the model it asks and the stream it fills; not the other answers, nor whose turn it is.
"""

from __future__ import annotations

import secrets

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from tuner.adapters import Adapter
from tuner.encode import ChatEncoder
from tuner.sampling import Sampling, StopScanner
from tuner.stream import FinishReason, Stream


class Answer:
    """What the loop keeps about one open stream."""

    def __init__(
        self,
        sampling: Sampling,
        stream: Stream,
        adapter: Adapter | None,
        encoder: ChatEncoder,
        prompt: list[int],
        room_tokens: int,
        model: PreTrainedModel,
    ) -> None:
        self.stream = stream
        self.adapter = adapter
        self._sampling = sampling
        self._model = model
        self._unread = prompt
        self._limit = min(sampling.max_tokens or room_tokens, room_tokens)
        self._end_ids = encoder.end_ids
        self._text = encoder.text_stream()
        self._scanner = StopScanner(sampling.stop)
        self._cache = DynamicCache(config=model.config)
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        self._generator = torch.Generator().manual_seed(seed)

    def step(self, chunk_tokens: int) -> None:
        """Read a chunk of what is unread; once all is read, say the next token."""
        chunk, self._unread = self._unread[:chunk_tokens], self._unread[chunk_tokens:]
        output = self._model(
            input_ids=torch.tensor([chunk], device=self._model.device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        if not self._unread:
            self._accept(choose_token(output.logits[0, -1], self._sampling, self._generator))

    def _accept(self, token: int) -> None:
        self.stream.answer_tokens += 1
        if token in self._end_ids:
            self._end("stop")
            return
        self._unread = [token]
        self._say(self._scanner.feed(self._text.feed(token)))
        if self._scanner.has_stopped:
            self._end("stop")
        elif self.stream.answer_tokens >= self._limit:
            self._end("length")

    def _end(self, reason: FinishReason) -> None:
        self._say(self._scanner.flush())
        self.stream.finish(reason)

    def _say(self, text: str) -> None:
        if text:
            self.stream.put(text)


def choose_token(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """The next token: the likeliest at temperature 0, else drawn from what the settings keep."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    scores = logits.float().cpu() / sampling.temperature
    if 0 < sampling.top_k < len(scores):
        weakest = torch.topk(scores, sampling.top_k).values[-1]
        scores = scores.masked_fill(scores < weakest, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = scores.sort(descending=True)
        shares = ordered.softmax(-1)
        # A token stays while those before it have not filled the share; the first always stays.
        beyond = shares.cumsum(-1) - shares >= sampling.top_p
        scores = scores.masked_fill(torch.zeros_like(beyond).scatter(0, order, beyond), -torch.inf)
    return int(torch.multinomial(scores.softmax(-1), 1, generator=generator))
