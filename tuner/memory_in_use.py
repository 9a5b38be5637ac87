"""How much memory a run holds now: the process's own, or what it took of its GPU.

Knows no limits and predicts nothing.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory_in_use_bytes(device: torch.device) -> int:
    """Resident memory of this process; on a GPU, what torch holds of its memory."""
    if device.type == "cuda":
        return torch.cuda.memory_reserved(device)
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    # Elsewhere only the peak can be asked for without another package.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
