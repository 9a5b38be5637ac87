"""How fast this machine multiplies bfloat16 matrices at best: the measure of all tuning on it."""

from __future__ import annotations

import time

import torch

_SIZES = ((1024, 1024, 1024), (1024, 576, 1536), (2048, 2048, 2048), (8192, 4096, 4096))
_SECONDS_PER_SIZE = 1.0


def matrix_rate(device: torch.device) -> float:
    """Operations per second, two for each product and its addition."""
    return max(_rate(rows, inner, columns, device) for rows, inner, columns in _sizes(device))


def _sizes(device: torch.device) -> tuple[tuple[int, int, int], ...]:
    return _SIZES if device.type == "cuda" else _SIZES[:-1]


def _rate(rows: int, inner: int, columns: int, device: torch.device) -> float:
    left = torch.randn(rows, inner, dtype=torch.bfloat16, device=device)
    right = torch.randn(columns, inner, dtype=torch.bfloat16, device=device)
    fastest = float("inf")
    began = time.perf_counter()
    while time.perf_counter() - began < _SECONDS_PER_SIZE:
        started = time.perf_counter()
        torch.nn.functional.linear(left, right)
        _wait(device)
        fastest = min(fastest, time.perf_counter() - started)
    return 2.0 * rows * inner * columns / fastest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
