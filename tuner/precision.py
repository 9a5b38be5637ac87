"""Choose the number format of the frozen base: the faster of float32 and bfloat16 on this machine.

Some processors multiply bfloat16 several times faster, others far slower, and for few rows even
the fast ones gain nothing; so it is timed. Knows sizes, not models.
"""

from __future__ import annotations

import time

import torch
from torch.nn.functional import linear

_ROUNDS = 4
_INNER_WIDTH = 3
"""A layer's inner width in hidden sizes, as most families have it; it need not be exact."""
_CLEAR_GAIN = 1.2
"""bfloat16 rounds coarsely, so a lead within the noise of the clock is not worth it."""
_SMALLEST_HIDDEN_SIZE = 256
"""Below it calls cost more than arithmetic, and the clock cannot tell the formats apart."""


def choose_precision(wanted: str, *, rows: int, hidden_size: int, device: torch.device) -> str:
    """'float32' or 'bfloat16'."""
    if wanted != "auto":
        return wanted
    if device.type != "cpu":
        return "bfloat16"
    if hidden_size < _SMALLEST_HIDDEN_SIZE:
        return "float32"
    seconds = {
        dtype: _matrix_seconds(dtype, rows, hidden_size, _INNER_WIDTH * hidden_size)
        for dtype in (torch.float32, torch.bfloat16)
    }
    gain = seconds[torch.float32] / seconds[torch.bfloat16]
    return "bfloat16" if gain > _CLEAR_GAIN else "float32"


def _matrix_seconds(dtype: torch.dtype, rows: int, inputs: int, outputs: int) -> float:
    """Shortest time of what a frozen layer costs: its output, and the gradient of its input."""
    layer_input = torch.ones(rows, inputs, dtype=dtype)
    weight = torch.ones(outputs, inputs, dtype=dtype)
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        linear(layer_input, weight) @ weight
        seconds.append(time.perf_counter() - started)
    return min(seconds)
