"""peft, imported without bitsandbytes: what needs an adapter takes peft's parts from here.

peft takes bitsandbytes along wherever it is installed, which costs a start more than a second and
may wake a GPU in a process that is to fork. Only a 4-bit base needs it, and asks for it then.
"""

from __future__ import annotations

import sys

_NAME = "bitsandbytes"
_was_hidden = _NAME not in sys.modules and "peft" not in sys.modules
if _was_hidden:
    sys.modules[_NAME] = None  # type: ignore[assignment]  # the import system reads: not there
try:
    import peft
    from peft import LoraConfig, get_peft_model
    from peft.import_utils import is_bnb_4bit_available, is_bnb_available
    from peft.tuners.lora import LoraLayer
    from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict

    if _was_hidden:
        is_bnb_available()  # remembered: asked again, it would import
        is_bnb_4bit_available()
finally:
    if _was_hidden:
        del sys.modules[_NAME]

__all__ = [
    "LoraConfig",
    "LoraLayer",
    "get_peft_model",
    "get_peft_model_state_dict",
    "peft",
    "set_peft_model_state_dict",
    "show_bitsandbytes",
]


def show_bitsandbytes() -> None:
    """From now on peft knows 4-bit layers."""
    is_bnb_available.cache_clear()
    is_bnb_4bit_available.cache_clear()
