"""Which way a family of models is tuned: the fast path where it is proven, else the plain one.

Names only; torch is not needed, so that a page can say which way a job will take.
"""

from __future__ import annotations

from tuner.settings import TuningSettings

FAST_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Families for which tests show the fast path's loss and gradients equal to the plain path's."""


def layout(family: str, settings: TuningSettings) -> str:
    """ "packed" for the fast path, "padded" for the plain one."""
    return "packed" if family in FAST_FAMILIES and not settings.use_dora else "padded"
