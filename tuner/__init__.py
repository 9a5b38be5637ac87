"""The tuning engine: settings, examples and a base model in; events and an adapter out.

Knows nothing of the web, of databases or of users. `settings`, `examples`, `encode`, `plan`,
`events` and `convert` never import torch, so that any process may use them; the modules that do
are `train` and what stands behind it, `generate` and `calibrate`.
"""

from __future__ import annotations

import os

# Torch's threads wait for each other by spinning. Beside another busy process each then waits for
# a neighbour that is not even running, and a step of half a second was seen to take thirty.
# Spinning briefly costs a quiet machine next to nothing. Read when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
