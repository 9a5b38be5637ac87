"""What a model of a given shape holds in memory while it is tuned, derived from its widths.

Counts the numbers a step has to keep: weights, gradients, the optimiser's, and what each token
leaves behind in each layer for the backward pass. Knows no machine and no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tuner.convert import ModelFacts
from tuner.settings import TuningSettings

FLOAT32_BYTES = 4
NUMBER_BYTES = {"float32": 4, "bfloat16": 2}
_QUANTISED_BYTES = 0.53
"""Per weight: four bits, and the scales of its block (Dettmers et al., QLoRA, 2023)."""
_OPTIMISER_NUMBERS = 2
"""AdamW keeps two moving averages for each trained weight."""
_HEAD_PORTION_NUMBERS = 1 << 24
"""Logits that the packed layout holds at once; the padded one holds all of a micro-batch."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The bytes of one model under one method."""

    facts: ModelFacts
    settings: TuningSettings
    precision: str
    """float32 or bfloat16."""
    layout: str
    """packed or padded, as in `events.Started`."""
    keeps_best: bool = False
    """Whether a copy of the adapter at its best evaluation is held; a whole model's is on disk."""

    @cached_property
    def weight_bytes(self) -> float:
        """The base model's weights as they lie in memory."""
        facts = self.facts
        if self.settings.method != "qlora":
            return facts.parameters * self.number_bytes
        others = facts.parameters - facts.linear_parameters
        return facts.linear_parameters * _QUANTISED_BYTES + others * self.number_bytes

    @cached_property
    def trained_weights(self) -> int:
        """How many numbers the optimiser changes."""
        facts, settings = self.facts, self.settings
        if not settings.uses_adapter:
            return facts.parameters
        names = settings.lora_layer_names
        sides = facts.attention_sides + facts.mlp_sides
        if names == ("attention",):
            sides = facts.attention_sides
        elif names == ("mlp",):
            sides = facts.mlp_sides
        return sides * settings.lora_rank

    @cached_property
    def training_bytes(self) -> float:
        """The optimiser's numbers, and the adapter or the float32 copy that it changes."""
        copies = _OPTIMISER_NUMBERS
        if self.settings.uses_adapter or self.precision != "float32":
            copies += 1
        copies += self.keeps_best and self.settings.uses_adapter
        return copies * self.trained_weights * FLOAT32_BYTES

    @cached_property
    def gradient_bytes(self) -> float:
        return self.trained_weights * FLOAT32_BYTES

    @cached_property
    def head_gradient_bytes(self) -> float:
        """The gradient that is there first and longest: that of the head, where it is trained."""
        if self.settings.uses_adapter:
            return 0
        return self.facts.vocabulary_size * self.facts.hidden_size * FLOAT32_BYTES

    def loading_bytes(self, device: str) -> float:
        """Held while the model is read: its weights, and on a processor the file they come from."""
        return self.weight_bytes + (self.facts.size_bytes if device == "cpu" else 0)

    @property
    def number_bytes(self) -> int:
        return NUMBER_BYTES[self.precision]

    def token_bytes(self, *, checkpointed: bool) -> float:
        """What one token leaves in all layers, and what the layer at work adds to it."""
        facts = self.facts
        at_work = 4 * (facts.hidden_size + facts.attention_size + facts.inner_size)
        kept = facts.hidden_size if checkpointed else self._kept_numbers
        # A checkpointed layer is computed again, so that its numbers are there once, not per layer.
        again = self._kept_numbers if checkpointed else 0
        return (facts.layers * kept + again + at_work) * self._activation_bytes

    @property
    def _kept_numbers(self) -> int:
        """Numbers that one layer keeps of one token."""
        facts = self.facts
        hidden, heads, inner = facts.hidden_size, facts.attention_size, facts.inner_size
        narrow = facts.linear_count // facts.layers * self.settings.lora_rank
        narrow *= self.settings.uses_adapter
        dropped = hidden + heads + hidden + inner if self.settings.lora_dropout else 0
        if self.layout == "packed":
            return 2 * (hidden + heads + facts.key_value_size + inner) + narrow + dropped
        # DoRA keeps what base and adapter gave in each layer, to learn the lengths apart.
        apart = (facts.attention_sides + facts.mlp_sides) // facts.layers * self.settings.use_dora
        return 4 * (hidden + heads + inner) + narrow + dropped + apart

    @property
    def _activation_bytes(self) -> int:
        # The plain path computes norms, attention and adapters in float32 whatever the weights are.
        return self.number_bytes if self.layout == "packed" else FLOAT32_BYTES

    def head_bytes(self, answers: float) -> float:
        """Logits of so many tokens to be learned, as many as are held at once, in float32."""
        numbers = answers * self.facts.vocabulary_size
        if self.layout == "packed":
            numbers = min(numbers, max(_HEAD_PORTION_NUMBERS, self.facts.vocabulary_size))
        return numbers * FLOAT32_BYTES
