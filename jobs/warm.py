"""Imported by the tuning worker's parent alone: what every job needs, loaded once before it forks.

The parent never runs a parallel operation and never touches a GPU, so that children may; and so
peft comes by way of the engine, which knows what must not come along with it.
"""

from __future__ import annotations

import tuner.train

__all__ = ["tuner"]
