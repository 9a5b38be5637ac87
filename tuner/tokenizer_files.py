"""Read what a model folder says about its tokenizer: vocabulary, special tokens, chat template.

The same tokenizer as transformers would make of the files, without importing it. A folder without
a chat template gets the plain one of `tuner.chat_template`. Knows nothing of examples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, processors

from tuner.chat_template import PLAIN_TEMPLATE
from tuner.errors import ModelError

TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    TEMPLATE_FILE,
    "generation_config.json",
)
"""What must lie beside an adapter for it to be used unchanged later (those that exist)."""

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a model folder; ModelError says what is wrong with the file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}: it is not a complete model.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is not a JSON object. Fetch the model again.")
    return value


def read_tokenizer(path: Path) -> Tokenizer:
    if not path.exists():
        raise ModelError(f"{path.parent} has no {path.name}: it is not a complete model.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers package raises nothing narrower
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # Post-processors add tokens that the template already writes, and may trim the offsets.
    tokenizer.post_processor = processors.Sequence([])
    return tokenizer


def read_template(folder: Path, config: dict[str, Any]) -> str | None:
    """The folder's own chat template; None where it has none."""
    path = folder / TEMPLATE_FILE
    if path.exists():
        return _read_text(path)
    template = config.get("chat_template")
    if isinstance(template, list):
        named = (item for item in template if isinstance(item, dict))
        template = next(
            (item.get("template") for item in named if item.get("name") == "default"), None
        )
    return template if isinstance(template, str) and template.strip() else None


def stored_files(folder: Path) -> dict[str, bytes]:
    """What must lie beside a tuned model for it to be read and asked exactly as it was tuned.

    The tokenizer's files as they are, and the chat template that was used, as a file that goes
    before any other template, for us and for transformers.
    """
    paths = (folder / name for name in TOKENIZER_FILES)
    files = {path.name: path.read_bytes() for path in paths if path.exists()}
    template = read_template(folder, read_json(folder / "tokenizer_config.json"))
    return {**files, TEMPLATE_FILE: (PLAIN_TEMPLATE if template is None else template).encode()}


def special_tokens(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """The texts of the tokens with a role, by the name a chat template knows them by."""
    map_path = folder / "special_tokens_map.json"
    # Older folders name some of them only there.
    named = {**(read_json(map_path) if map_path.exists() else {}), **config}
    tokens = {}
    for name in _SPECIAL_NAMES:
        value = named.get(name)
        text = value.get("content") if isinstance(value, dict) else value
        if isinstance(text, str):
            tokens[name] = text
    return tokens


def generation_ends(folder: Path) -> frozenset[int]:
    """The ids that end an answer by the folder's generation_config.json, if it has one."""
    path = folder / "generation_config.json"
    ends = read_json(path).get("eos_token_id") if path.exists() else None
    listed = ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in listed if isinstance(end, int))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Fetch the model again.") from None
