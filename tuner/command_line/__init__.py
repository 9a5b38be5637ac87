"""The engine's commands: `train` and `inspect`, their arguments and what they print."""
