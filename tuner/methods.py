"""Whether a method of tuning can be used here, said before anything is loaded.

Knows which packages and model families the methods need; torch is not imported.
"""

from __future__ import annotations

from importlib.util import find_spec

from tuner.convert import ModelFacts
from tuner.errors import SettingsError
from tuner.settings import TuningSettings


def check_method(settings: TuningSettings, facts: ModelFacts) -> None:
    """SettingsError says in one sentence why the method cannot tune this base model here."""
    if settings.method == "qlora" and find_spec("bitsandbytes") is None:
        raise SettingsError(
            "QLoRA needs the package bitsandbytes, which this machine does not have. "
            "Install it as requirements.txt names it, or choose the method lora."
        )
