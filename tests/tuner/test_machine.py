"""What this machine can give, and the most that some work held."""

from __future__ import annotations

import os

import torch

from tuner.machine import available_memory_bytes
from tuner.peak import watch_peak

MEGABYTE = 1 << 20


def test_the_available_memory_is_less_than_all_of_it():
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 100 * MEGABYTE < available_memory_bytes() <= everything


def test_a_peak_is_seen_though_it_is_over_and_not_seen_again():
    device = torch.device("cpu")
    with watch_peak(device) as before:
        pass
    with watch_peak(device) as high:
        torch.ones(50 * MEGABYTE)  # 200 MB, freed at once
    with watch_peak(device) as after:
        pass
    assert high.bytes - before.bytes > 190 * MEGABYTE
    assert after.bytes - before.bytes < 50 * MEGABYTE
