"""Imported by the tuning worker's parent alone: what every job needs, loaded once before it forks.

The parent never runs a parallel operation and never touches a GPU, so that children may.
"""

from __future__ import annotations

import peft
import torch
import transformers

import tuner.train

__all__ = ["peft", "torch", "transformers", "tuner"]
