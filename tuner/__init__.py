"""The tuning engine: settings, examples and a base model in; events and an adapter out.

Knows nothing of the web, of databases or of users. `settings`, `examples`, `encode`, `plan` and
`events` never import torch, so that any process may use them; the modules that do are `train` and
what stands behind it, `generate`, `convert` and `calibrate`.
"""
