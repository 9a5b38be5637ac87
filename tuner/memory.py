"""Predict the most memory a job holds at once, and choose what keeps it within the machine's.

Torch-free arithmetic: what a model's shape says (`footprint`) of what a step computes (`workload`)
is scaled by what a few steps really held on this machine. Measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tuner.convert import ModelFacts
from tuner.errors import SettingsError
from tuner.families import layout
from tuner.footprint import Footprint
from tuner.settings import TuningSettings
from tuner.workload import Workload

FITS, TIGHT, WILL_NOT_FIT = "fits", "tight", "will not fit"
COMFORTABLE_SHARE = 0.8
"""Of the memory available; above it other programs and an unlucky batch get in the way."""

_TOKENS_AT_ONCE = {"cpu": (2048, 256), "cuda": (16384, 2048)}
"""(enough to keep the device busy, fewest worth computing at once). Beyond the first, more tokens
cost memory and save no time; below the second, each token takes longer."""

_SCATTER_FACTOR = 1.25
"""On a processor, what one portion freed does not always lie where the next one needs it: measured
with steps of one portion and of four, over some of each."""


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What was measured over what is derived."""

    token: float
    checkpointed_token: float
    answer: float


_USUAL_FACTORS = {
    "packed": Factors(token=1.2, checkpointed_token=2.1, answer=4.1),
    "padded": Factors(token=1.8, checkpointed_token=1.8, answer=3.0),
}
"""Of a model of 135 million parameters on a processor, for layouts that were not measured."""


@dataclass(frozen=True, kw_only=True)
class MemoryCalibration:
    """What steps of one base model held on one machine."""

    device: str = "cpu"
    device_bytes: float = 0
    """All memory of the GPU; 0 on a processor."""
    precision: str = "float32"
    """The one that "auto" chose."""
    process_bytes: float = 500e6
    """Held before the model is loaded; 0 on a GPU."""
    overhead_bytes: float = 50e6
    """Held in a step whatever its size, besides weights and what is kept for training them."""
    layout: str = ""
    """The one that was measured; empty before any was."""
    token_factor: float = 1
    checkpointed_token_factor: float = 1
    answer_factor: float = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MemoryCalibration:
        try:
            return cls(**values)
        except TypeError as error:
            raise SettingsError(
                f"Not a calibration of memory: {error}. Measure this machine again."
            ) from None

    def factors(self, layout: str) -> Factors:
        if layout != self.layout:
            return _USUAL_FACTORS[layout]
        return Factors(
            token=self.token_factor,
            checkpointed_token=self.checkpointed_token_factor,
            answer=self.answer_factor,
        )


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """What a job will hold, whether that fits, and what was chosen for it."""

    peak_bytes: int
    available_bytes: int
    verdict: str
    """FITS, TIGHT or WILL_NOT_FIT."""
    micro_batch_tokens: int
    activation_checkpointing: bool


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is known of a job's examples, or of a sample of them, in tokens."""

    lengths: Sequence[int]
    shared_tokens: float = 0
    """What all of them begin with."""
    answer_share: float = 1
    """Share of the tokens that are learned."""
    has_validation: bool = False


def predict_peak_bytes(
    footprint: Footprint,
    workload: Workload,
    calibration: MemoryCalibration,
    *,
    micro_batch_tokens: int,
    checkpointed: bool,
) -> int:
    """The most that the job holds at once: while a step is taken, or while the model is loaded."""
    portion = workload.largest_portion(micro_batch_tokens)
    factors = calibration.factors(footprint.layout)
    token_factor = factors.checkpointed_token if checkpointed else factors.token
    at_work = portion.tokens * footprint.token_bytes(checkpointed=checkpointed) * token_factor
    at_work += footprint.head_bytes(portion.answers) * factors.answer
    if not portion.is_whole_step and calibration.device == "cpu":
        at_work *= _SCATTER_FACTOR
    if portion.is_whole_step:
        # Gradients come while what the tokens left behind goes; only the head's are there at once.
        at_work += footprint.head_gradient_bytes
        in_step = max(at_work, footprint.gradient_bytes)
    else:
        in_step = at_work + footprint.gradient_bytes
    held = footprint.weight_bytes + footprint.training_bytes + calibration.overhead_bytes
    loading = footprint.loading_bytes(calibration.device)
    return round(calibration.process_bytes + max(held + in_step, loading))


def plan_memory(
    facts: ModelFacts,
    settings: TuningSettings,
    sizes: Sizes,
    calibration: MemoryCalibration,
    available_bytes: int,
) -> MemoryPlan:
    """The fastest choice that fits comfortably, else the one that holds least."""
    way = layout(facts.family, settings)
    footprint = Footprint(
        facts=facts,
        settings=settings,
        precision=calibration.precision if settings.precision == "auto" else settings.precision,
        layout=way,
        keeps_best=sizes.has_validation and settings.final_model == "best",
    )
    workload = Workload.of(
        sizes.lengths,
        settings,
        layout=way,
        shared_tokens=sizes.shared_tokens,
        answer_share=sizes.answer_share,
    )
    tried = []
    for checkpointed, tokens in _choices(footprint.settings, calibration.device):
        peak = predict_peak_bytes(
            footprint, workload, calibration, micro_batch_tokens=tokens, checkpointed=checkpointed
        )
        plan = MemoryPlan(
            peak_bytes=peak,
            available_bytes=available_bytes,
            verdict=verdict(peak, available_bytes),
            micro_batch_tokens=tokens,
            activation_checkpointing=checkpointed,
        )
        if plan.verdict == FITS:
            return plan
        tried.append(plan)
    return min(tried, key=lambda plan: plan.peak_bytes)


def verdict(peak_bytes: float, available_bytes: float) -> str:
    if peak_bytes <= COMFORTABLE_SHARE * available_bytes:
        return FITS
    return TIGHT if peak_bytes <= available_bytes else WILL_NOT_FIT


def _choices(settings: TuningSettings, device: str) -> Iterator[tuple[bool, int]]:
    """(checkpointed, tokens at once), the fastest first.

    Fewer tokens at once cost less time than computing activations twice.
    """
    switches = {"on": (True,), "off": (False,), "auto": (False, True)}
    for checkpointed in switches[settings.activation_checkpointing]:
        if settings.micro_batch_tokens is not None:
            yield checkpointed, settings.micro_batch_tokens
            continue
        tokens, fewest = _TOKENS_AT_ONCE[device]
        while tokens >= fewest:
            yield checkpointed, tokens
            tokens //= 2
