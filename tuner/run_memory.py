"""Choose, for a run about to begin, how much it computes at once and what it computes twice.

By the same prediction that a person saw before the job, from the first examples and the memory
there is now. Knows no steps.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from tuner.convert import ModelFacts
from tuner.encoded import EncodedExamples
from tuner.machine import available_memory_bytes
from tuner.memory import MemoryCalibration, MemoryPlan, Sizes, plan_memory
from tuner.memory_in_use import memory_in_use_bytes
from tuner.settings import TuningSettings
from tuner.workload import shared_prefix

_EXAMPLES_LOOKED_AT = 64


def plan_run(
    facts: ModelFacts,
    settings: TuningSettings,
    training: EncodedExamples,
    *,
    precision: str,
    device: torch.device,
    has_validation: bool,
    calibration: MemoryCalibration | None = None,
) -> MemoryPlan:
    """What the settings leave to the machine, chosen for it."""
    encoded = [training[index] for index in range(min(len(training), _EXAMPLES_LOOKED_AT))]
    lengths = [len(example) for example in encoded]
    sizes = Sizes(
        lengths=lengths,
        shared_tokens=shared_prefix([example.ids for example in encoded]),
        answer_share=sum(sum(example.trained) for example in encoded) / sum(lengths),
        has_validation=has_validation,
    )
    on_gpu = device.type == "cuda"
    known = calibration or MemoryCalibration(process_bytes=0 if on_gpu else 450e6)
    known = replace(known, device=device.type, precision=precision)
    # What this process holds already is part of what it is predicted to hold.
    own = memory_in_use_bytes(device)
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else available_memory_bytes()
    return plan_memory(facts, settings, sizes, known, free + own)
