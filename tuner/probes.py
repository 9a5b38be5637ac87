"""A few fixed prompts, answered by the model as it is at each evaluation.

Chosen once by the seed; the model answers greedily, all prompts in one batch, and only as long as
a glance needs. Changes nothing of the run: no dropout, no randomness, no gradient. Knows no steps.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from tuner.encode import ChatEncoder
from tuner.events import Sample
from tuner.examples import Example, Message
from tuner.fast.model import causal_model

PROBES = 3
ANSWER_TOKENS = 48
_TRIED = 100
"""Examples looked at for prompts that differ."""


class Probes:
    """The fixed prompts of one run; none if no prompt leaves room for an answer."""

    def __init__(
        self, examples: Sequence[Example], encoder: ChatEncoder, *, seed: int, context_tokens: int
    ) -> None:
        self._encoder = encoder
        longest = context_tokens - ANSWER_TOKENS
        order = random.Random(f"probes {seed}").sample(
            range(len(examples)), min(_TRIED, len(examples))
        )
        chosen: dict[tuple[Message, ...], tuple[Example, list[int]]] = {}
        for index in order:
            turns = examples[index].messages[:-1]
            ids = encoder.encode_prompt(turns)
            if turns not in chosen and len(ids) <= longest:
                chosen[turns] = (examples[index], ids)
            if len(chosen) == PROBES:
                break
        self._chosen = list(chosen.values())

    def answer(self, model: Any, moved: Callable[[], None]) -> tuple[Sample, ...]:
        """What the model says now, beside what is expected."""
        if not self._chosen:
            return ()
        was_training = model.training
        model.eval()
        try:
            answers = _greedy(model, [ids for _, ids in self._chosen], self._encoder, moved)
        finally:
            model.train(was_training)
        return tuple(
            Sample(
                prompt=_prompt_text(example.messages[:-1]),
                answer=self._encoder.decode(answer),
                expected=example.messages[-1].content,
            )
            for (example, _), answer in zip(self._chosen, answers, strict=True)
        )


def _prompt_text(turns: Sequence[Message]) -> str:
    """A lone question as it is; of a conversation, who said what."""
    if len(turns) == 1:
        return turns[0].content
    return "\n".join(f"{turn.role.capitalize()}: {turn.content}" for turn in turns)


@torch.no_grad()
def _greedy(
    model: Any, prompts: Sequence[Sequence[int]], encoder: ChatEncoder, moved: Callable[[], None]
) -> list[list[int]]:
    """The likeliest token again and again, for all prompts at once."""
    ids, mask = _padded_left(prompts, encoder.pad_id, model.device)
    causal = causal_model(model)
    cache = DynamicCache(config=causal.config)
    answers: list[list[int]] = [[] for _ in prompts]
    is_open = [True] * len(prompts)
    for _ in range(ANSWER_TOKENS):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        rows = causal.base_model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        # Given rows that do not lie side by side, torch copies the wide head for each of them.
        logits = causal.get_output_embeddings()(rows[:, -1].contiguous())
        tokens: list[int] = logits.argmax(-1).tolist()
        for row, token in enumerate(tokens):
            is_open[row] = is_open[row] and token not in encoder.end_ids
            if is_open[row]:
                answers[row].append(token)
        if not any(is_open):
            break
        ids = torch.tensor([[token] for token in tokens], device=model.device)
        mask = torch.cat([mask, mask.new_ones(len(tokens), 1)], dim=1)
        moved()
    return answers


def _padded_left(
    prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """(rows, length) ids and mask, with all prompts ending in the last column."""
    length = max(map(len, prompts))
    ids = [[pad_id] * (length - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
